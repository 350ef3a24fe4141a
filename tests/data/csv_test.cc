#include "data/csv.h"

#include "tests/data/support.h"
#include "tests/data/temporary_files.h"

namespace cohort::data {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Texts = std::vector<std::string>;

class CsvTest : public ::testing::Test {
 protected:
  Dataset csv(const std::string& bytes, CsvOptions options) {
    return Dataset::from_csv({files_.write("a.csv", bytes)}, options);
  }
  /// All fields of files with `num_columns` columns of text.
  Texts fields(const std::string& bytes, int num_columns, CsvOptions options = {}) {
    options.columns.assign(static_cast<size_t>(num_columns), CsvColumn::text());
    Texts texts;
    for (Iterator i = csv(bytes, options).iterate(); const Element* element = i.next();)
      for (const Tensor& field : *element) texts.push_back(text_of(field));
    return texts;
  }
  const TemporaryFiles files_;
};

TEST_F(CsvTest, ColumnsBecomeScalars) {
  const Dataset dataset =
      csv("1,2.5,9000000000,x\n-3,1e-3,-1,y z\n",
          {.columns = {DType::kI32, DType::kF32, DType::kI64, CsvColumn::text()}});
  Iterator iterator = dataset.iterate();
  const Element first = *iterator.next();
  EXPECT_EQ(first[0].item<int>(), 1);
  EXPECT_EQ(first[1].item(), 2.5f);
  EXPECT_EQ(first[2].item<int64_t>(), 9000000000);
  EXPECT_EQ(text_of(first[3]), "x");
  const Element second = *iterator.next();
  EXPECT_EQ(second[0].item<int>(), -3);
  EXPECT_EQ(second[1].item(), 1e-3f);
  EXPECT_EQ(text_of(second[3]), "y z");
  EXPECT_EQ(iterator.next(), nullptr);
  EXPECT_EQ(dataset.element_spec()[1], (ComponentSpec{DType::kF32, Shape()}));
  EXPECT_THAT(dataset.to_string(), HasSubstr("a.csv, [int32, float32, int64, text])"));
}

TEST_F(CsvTest, QuotingIsRfc4180s) {
  EXPECT_EQ(fields("\"a\",b\r\n\"c,d\",\"e \"\"f\"\"\"\n\"g\nh\",\n\"\",\"\"", 2),
            (Texts{"a", "b", "c,d", "e \"f\"", "g\nh", "", "", ""}));
  EXPECT_EQ(fields("\n\r\na\n\nb", 1), (Texts{"a", "b"}));  // empty lines
  EXPECT_EQ(fields("a\"b,c\n", 2, {.use_quote_delim = false}), (Texts{"a\"b", "c"}));
  EXPECT_EQ(fields("a;b,c\n", 2, {.field_delim = ';'}), (Texts{"a", "b,c"}));
}

TEST_F(CsvTest, HeadersOfEveryFileArePassedOver) {
  const Dataset dataset = Dataset::from_csv(
      {files_.write("a", "x,y\n1,2\n"), files_.write("b", "x,y"), files_.write("c", "x,y\n3,4")},
      {.columns = {DType::kI64, DType::kI64}, .header = true});
  EXPECT_EQ(batches_of(dataset), (Batches{{1}, {3}}));
  EXPECT_EQ(batches_of(dataset, {}, 1), (Batches{{2}, {4}}));
  EXPECT_EQ(batches_of(dataset.skip(1)), (Batches{{3}}));
}

TEST_F(CsvTest, EmptyFieldsTakeTheDefault) {
  const std::string bytes = "1,,\n , NA,2\n";
  const CsvOptions options{
      .columns = {Tensor::scalar<int64_t>(-1), Tensor::scalar<int64_t>(-2), DType::kI64},
      .na_value = "NA"};
  EXPECT_EQ(error_of([&] { values_of(csv("1,2,\n", options)); }),
            "from_csv: " + files_.path("a.csv") + ": line 1: got \"\" in column 2; want int64");
  const Dataset dataset = csv("1,,3\n ,NA,2\n", options);
  EXPECT_EQ(batches_of(dataset), (Batches{{1}, {-1}}));
  EXPECT_EQ(batches_of(dataset, {}, 1), (Batches{{-2}, {-2}}));
}

TEST_F(CsvTest, SelectedColumnsAlone) {
  const CsvOptions options{.columns = {DType::kI64, DType::kI64}, .select_cols = {1, 3}};
  EXPECT_EQ(batches_of(csv("a,1,b,2,c\nd,3,e,4\n", options), {}, 1), (Batches{{2}, {4}}));
  EXPECT_THAT(error_of([&] { values_of(csv("a,1,b\n", options)); }),
              HasSubstr("line 1: got 3 fields; want 4 or more"));
}

TEST_F(CsvTest, BadRecordsAreNamed) {
  const CsvOptions two{.columns = {DType::kI32, DType::kU8}};
  const auto error = [&](const std::string& bytes) {
    return error_of([&] { values_of(csv(bytes, two)); });
  };
  EXPECT_THAT(error("1,2\n\n3\n"), HasSubstr("a.csv: line 3: got 1 fields; want 2"));
  EXPECT_THAT(error("1,2\n3,256\n"), HasSubstr("line 2: got \"256\" in column 1; want uint8"));
  EXPECT_THAT(error("1.5,2\n"), HasSubstr("got \"1.5\" in column 0; want int32"));
  EXPECT_THAT(error("1,\"2\n\n"), HasSubstr("line 1: got a quoted field without end"));
  EXPECT_THAT(error("1\"2\n"), HasSubstr("got a quote within a field"));
  EXPECT_THAT(error("\"1\"2\n"), HasSubstr("got \"2\" behind a closing quote"));
}

TEST_F(CsvTest, OptionsAreChecked) {
  const std::string path = files_.write("a.csv", "1\n");
  const auto refuse = [&](CsvOptions options) {
    return error_of([&] { Dataset::from_csv({path}, options); });
  };
  EXPECT_THAT(refuse({}), HasSubstr("got no columns"));
  EXPECT_THAT(refuse({.columns = {DType::kI32}, .field_delim = '"'}), HasSubstr("as delimiter"));
  EXPECT_THAT(refuse({.columns = {DType::kI32}, .select_cols = {0, 1}}),
              HasSubstr("got 1 columns and 2 numbers"));
  EXPECT_THAT(refuse({.columns = {DType::kI32, DType::kI32}, .select_cols = {1, 1}}),
              HasSubstr("want ascending"));
  EXPECT_THROW(CsvColumn(Tensor::from<float>({1.0f})), Error);
}

TEST_F(CsvTest, PositionsContinueExactly) {
  std::string bytes;
  for (int i = 0; i < 20; ++i) bytes += std::to_string(i) + "\n";
  const Dataset dataset = csv(bytes, {.columns = {DType::kI64}}).shuffle(4).batch(3);
  const Batches all = batches_of(dataset);
  Iterator iterator = dataset.iterate();
  iterator.next();
  iterator.next();
  Iterator resumed = dataset.resume(iterator.position());
  EXPECT_EQ(rest_of(resumed), Batches(all.begin() + 2, all.end()));
}

}  // namespace
}  // namespace cohort::data
