#include <random>

#include "cohort/data/csv.h"
#include "cohort/data/example.h"
#include "tests/data/support.h"
#include "tests/data/temporary_files.h"
#include "tests/support/damaged.h"

/// Damaged files of every kind end in success or in a cohort::Error, whatever the damage.
namespace cohort::data {
namespace {

constexpr int kRounds = 400;

/// Reads `kRounds` damaged copies of `bytes`; returns how many were refused.
template <class Read>
int num_refused(const std::string& bytes, Read read) {
  std::mt19937 random(20);
  int refused = 0;
  for (int round = 0; round < kRounds; ++round) {
    try {
      read(testing::damaged(bytes, random));
    } catch (const Error& error) {
      ++refused;
      EXPECT_NE(error.code(), Code::kInternal) << error.what();
      EXPECT_NE(error.code(), Code::kUnknown) << error.what();
    }
  }
  return refused;
}

std::string some_example(int64_t i) {
  return serialize_example({{"x", Tensor::from<float>({1.0f, 2.0f, static_cast<float>(i)})},
                            {"y", Tensor::from<int64_t>({i, -i})},
                            {"image", Tensor(DType::kU8, Shape{4, 4})}});
}

const std::vector<FixedLenFeature> kFeatures{
    {.name = "x", .dtype = DType::kF32, .shape = Shape{3}},
    {.name = "y", .dtype = DType::kI64, .shape = Shape{Dim("L")}},
    {.name = "image", .dtype = DType::kU8, .shape = Shape{4, 4}}};

int64_t count(const Dataset& dataset) {
  int64_t elements = 0;
  for (Iterator i = dataset.iterate(); i.next();) ++elements;
  return elements;
}

TEST(CorruptFilesTest, TFRecords) {
  const TemporaryFiles files;
  std::vector<std::string> records;
  for (int64_t i = 0; i < 20; ++i) records.push_back(some_example(i));
  for (const Compression compression :
       {Compression::kNone, Compression::kGzip, Compression::kZlib}) {
    const std::string whole = TemporaryFiles::read(files.write_records("a", records, compression));
    const int refused = num_refused(whole, [&](const std::string& bytes) {
      const std::string path = files.write("damaged", bytes);
      count(Dataset::from_tfrecord({path}, {.compression = compression}));
    });
    EXPECT_GT(refused, kRounds * 9 / 10);
  }
}

TEST(CorruptFilesTest, ExamplesInWholeRecords) {
  const MapFunction parse = example_parser(kFeatures);
  const int refused = num_refused(some_example(3), [&](const std::string& bytes) {
    Element record;
    text_tensor(bytes, record);
    for (const Tensor& tensor : parse(record)) EXPECT_LE(tensor.num_bytes(), 10 * bytes.size());
  });
  EXPECT_GT(refused, kRounds / 2);
}

TEST(CorruptFilesTest, Csv) {
  const TemporaryFiles files;
  std::string whole = "a,b,c\n";
  for (int i = 0; i < 20; ++i) whole += std::to_string(i) + ",\"t, \"\"" + "\"\"\",2.5\r\n";
  const int refused = num_refused(whole, [&](const std::string& bytes) {
    count(Dataset::from_csv(
        {files.write("damaged", bytes)},
        {.columns = {DType::kI32, CsvColumn::text(), DType::kF32}, .header = true}));
  });
  EXPECT_GT(refused, kRounds / 4);
}

TEST(CorruptFilesTest, TextLines) {
  const TemporaryFiles files;
  const std::string whole = "one\ntwo\r\nthree";
  EXPECT_EQ(num_refused(whole,
                        [&](const std::string& bytes) {
                          count(Dataset::from_text_lines({files.write("damaged", bytes)}));
                        }),
            0);
}

TEST(CorruptFilesTest, SmallFilesThatUnpackToLargeOnesAreReadInParts) {
  const TemporaryFiles files;
  files.write_records("bomb", {std::string(size_t{32} << 20, '\0')}, Compression::kGzip);
  const Dataset dataset =
      Dataset::from_tfrecord({files.path("bomb")}, {.compression = Compression::kNone});
  EXPECT_EQ(code_of([&] { count(dataset); }), Code::kDataLoss);
  EXPECT_EQ(
      count(Dataset::from_text_lines({files.path("bomb")}, {.compression = Compression::kGzip})),
      1);
}

}  // namespace
}  // namespace cohort::data
