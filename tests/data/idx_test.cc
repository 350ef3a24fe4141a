#include "cohort/data/idx.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/data/support.h"

namespace cohort::data {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string little_endian(uint32_t value) {
  return {static_cast<char>(value), static_cast<char>(value >> 8), static_cast<char>(value >> 16),
          static_cast<char>(value >> 24)};
}

/// A gzip file (RFC 1952) of one stored block (RFC 1951).
std::string gzip(const std::string& bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0xedb88320u : 0);
  }
  const auto size = static_cast<uint32_t>(bytes.size());
  const std::string head("\x1f\x8b\x08\0\0\0\0\0\0\xff\x01", 11);
  return head + little_endian((~size << 16) | size) + bytes + little_endian(~crc) +
         little_endian(size);
}

class IdxTest : public ::testing::Test {
 protected:
  IdxTest() { std::filesystem::create_directories(directory_); }
  ~IdxTest() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& bytes) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::string write_gzip(const std::string& name, const std::string& bytes) {
    return write(name, gzip(bytes));
  }

  const std::string directory_ =
      std::filesystem::temp_directory_path() / ("cohort_idx_test_" + std::to_string(getpid()));
};

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string header(uint8_t type, const std::vector<uint32_t>& dims) {
  std::string bytes{'\0', '\0', static_cast<char>(type), static_cast<char>(dims.size())};
  for (const uint32_t dim : dims) bytes += big_endian(dim);
  return bytes;
}

std::string counting_bytes(int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(i);
  return bytes;
}

const std::string kImages = header(8, {3, 2, 2}) + counting_bytes(12);
const std::string kLabels = header(8, {3}) + counting_bytes(3);

TEST_F(IdxTest, ReadsPlainAndCompressedFiles) {
  for (const std::string& path : {write("plain", kImages), write_gzip("packed.gz", kImages),
                                  write_gzip("packed_without_suffix", kImages)}) {
    const Tensor images = read_idx(path);
    EXPECT_EQ(images.dtype(), DType::kU8);
    EXPECT_EQ(images.shape(), (Shape{3, 2, 2}));
    EXPECT_EQ(numbers_of(images), iota(0, 12));
  }
}

TEST_F(IdxTest, ReadsEveryType) {
  const std::string ints = header(0x0c, {2}) + big_endian(7) + big_endian(0xfffffffe);
  EXPECT_EQ(numbers_of(read_idx(write("i32", ints))), (Numbers{7, -2}));
  EXPECT_EQ(numbers_of(read_idx(write("i8", header(9, {2}) + "\x05\xfd"))), (Numbers{5, -3}));
  const Tensor f32 = read_idx(write("f32", header(0x0d, {1}) + big_endian(0xc0490fdb)));
  EXPECT_FLOAT_EQ(f32.item<float>(), -3.14159274f);
  const Tensor f64 =
      read_idx(write("f64", header(0x0e, {1}) + big_endian(0x3ff80000) + big_endian(0)));
  EXPECT_EQ(f64.item<double>(), 1.5);
}

TEST_F(IdxTest, ReadsNoRowsAndScalars) {
  EXPECT_EQ(read_idx(write("none", header(8, {0, 28, 28}))).shape(), (Shape{0, 28, 28}));
  EXPECT_EQ(read_idx(write("scalar", header(8, {}) + "\x2a")).item<int>(), 42);
}

TEST_F(IdxTest, EveryTruncationIsAnErrorThatNamesTheFile) {
  for (size_t length = 0; length < kImages.size(); ++length) {
    const std::string path = write("short", kImages.substr(0, length));
    EXPECT_THAT(error_of([&] { read_idx(path); }), HasSubstr(path)) << length << " bytes";
  }
}

TEST_F(IdxTest, EveryTruncationOfACompressedFileIsAnError) {
  const std::string packed = gzip(kImages);
  for (size_t length = 0; length < packed.size(); ++length) {
    const std::string path = write("short.gz", packed.substr(0, length));
    EXPECT_THAT(error_of([&] { read_idx(path); }), HasSubstr(path)) << length << " bytes";
  }
}

TEST_F(IdxTest, CompressedFilesMayHavePaddingAndSeveralMembers) {
  const std::string packed = gzip(kImages), zeros(512, '\0');
  const std::string members = gzip("") + gzip(kImages.substr(0, 20)) + gzip(kImages.substr(20));
  for (const std::string& bytes : {packed + zeros, members, members + zeros})
    EXPECT_EQ(numbers_of(read_idx(write("x.gz", bytes))), iota(0, 12));
  EXPECT_THAT(error_of([&] { read_idx(write("x.gz", packed + "garbage")); }), HasSubstr("/x.gz"));
  EXPECT_THAT(error_of([&] { read_idx(write("x.gz", packed + packed)); }),
              HasSubstr("got more than 12 bytes of values"));
}

TEST_F(IdxTest, DamageInsideACompressedFileIsAnError) {
  const std::string packed = gzip(kImages);
  for (const size_t at : {packed.size() - 1, packed.size() - 5, packed.size() / 2}) {
    std::string damaged = packed;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    EXPECT_THROW(read_idx(write("damaged.gz", damaged)), Error) << "byte " << at;
  }
}

TEST_F(IdxTest, SaysWhatWasGotAndWanted) {
  EXPECT_THAT(error_of([&] { read_idx(write("x", kImages.substr(0, 20))); }),
              HasSubstr("/x: got 4 bytes of values; want 12 for shape [3, 2, 2]"));
  EXPECT_THAT(error_of([&] { read_idx(write_gzip("x.gz", kImages.substr(0, 20))); }),
              HasSubstr("/x.gz: got 4 bytes of values; want 12 for shape [3, 2, 2]"));
  EXPECT_THAT(error_of([&] { read_idx(write("x", kImages + "a")); }),
              HasSubstr("/x: got more than 12 bytes of values"));
  EXPECT_THAT(error_of([&] { read_idx(write("x", "hello, world")); }),
              HasSubstr("/x: got a file that starts with 68 65; want 00 00 (IDX)"));
  EXPECT_THAT(error_of([&] { read_idx(write("x", header(0x0b, {1}) + "ab")); }),
              HasSubstr("/x: got type code 0x0b; want 0x08 (uint8)"));
  EXPECT_THAT(error_of([&] { read_idx(write("x", "")); }), HasSubstr("/x: got 0 bytes"));
}

TEST_F(IdxTest, AbsurdDimensionsAreRefusedBeforeMemoryIsAsked) {
  for (const auto& dims : {std::vector<uint32_t>{0xffffffff},
                           {0xffffffff, 0xffffffff, 0xffffffff},
                           {1u << 31, 1u << 31, 4}})
    EXPECT_THAT(error_of([&] { read_idx(write("x", header(8, dims) + "abc")); }),
                HasSubstr("want one whose values fit in the file"));
}

TEST_F(IdxTest, MissingFilesAndFoldersAreNamed) {
  try {
    read_idx(directory_ + "/nowhere");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr(directory_ + "/nowhere: got \"No such file"));
  }
  EXPECT_THAT(error_of([&] { read_idx(directory_); }), HasSubstr("no regular file"));
}

TEST_F(IdxTest, DatasetsPairImagesWithLabels) {
  const std::string images = write("images", kImages), labels = write_gzip("labels.gz", kLabels);
  const Dataset dataset = Dataset::from_idx({images, labels});
  EXPECT_EQ(dataset.element_spec(),
            (ElementSpec{{DType::kU8, Shape{2, 2}}, {DType::kU8, Shape{}}}));
  EXPECT_EQ(batches_of(dataset), (Batches{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}}));
  EXPECT_EQ(batches_of(dataset, {}, 1), (Batches{{0}, {1}, {2}}));

  const std::string fewer = write("fewer", header(8, {2}) + "ab");
  EXPECT_THAT(error_of([&] {
                Dataset::from_idx({images, fewer});
              }),
              AllOf(HasSubstr(fewer + ": got 2 rows"), HasSubstr("want 3 as in " + images)));
  EXPECT_THROW(Dataset::from_idx({}), Error);
}

TEST_F(IdxTest, LoadsTheFourFilesOfMnist) {
  EXPECT_THAT(error_of([&] { load_mnist_files(directory_); }),
              HasSubstr("got neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz"));
  write("train-images-idx3-ubyte", kImages);
  write_gzip("train-labels-idx1-ubyte.gz", kLabels);
  write_gzip("t10k-images-idx3-ubyte.gz", header(8, {1, 2, 2}) + counting_bytes(4));
  write("t10k-labels-idx1-ubyte", header(8, {1}) + "\x03");
  const TrainAndTest data = load_mnist_files(directory_);
  EXPECT_EQ(data.train.cardinality(), 3);
  EXPECT_EQ(data.test.cardinality(), 1);
}

TEST(FashionMnistTest, IsTheRealData) {
  const std::string directory = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(directory))
    GTEST_SKIP() << "no " << directory << " (package dataset-fashion-mnist)";
  const TrainAndTest data = load_mnist_files(directory);
  EXPECT_EQ(data.train.cardinality(), 60000);
  EXPECT_EQ(data.test.cardinality(), 10000);
  std::vector<int64_t> per_class(10);
  double sum = 0;
  for (const Element& batch : data.train.batch(1000).iterate()) {
    for (const int64_t label : numbers_of(batch[1])) ++per_class[static_cast<size_t>(label)];
    for (const int64_t pixel : numbers_of(batch[0])) sum += static_cast<double>(pixel);
  }
  EXPECT_THAT(per_class, ::testing::Each(6000));
  EXPECT_NEAR(sum / (60000.0 * 784 * 255), 0.28604, 5e-6);  // the published mean
}

}  // namespace
}  // namespace cohort::data
