#include "cohort/data/csv.h"

#include <cmath>
#include <limits>

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

TEST_F(CsvTest, LinesEndInThreeWays) {
  // "\r" alone as in Excel's "CSV (Macintosh)"; within quotes all of them are text.
  EXPECT_EQ(fields("a,b\rc,d\r\ne,f\ng,h\r", 2), (Texts{"a", "b", "c", "d", "e", "f", "g", "h"}));
  EXPECT_EQ(fields("\"a\r\nb\",1\r\"c\rd\",2\r\n", 2), (Texts{"a\r\nb", "1", "c\rd", "2"}));
  EXPECT_EQ(fields("a\r\r\nb\n\rc", 1), (Texts{"a", "b", "c"}));
  EXPECT_THAT(error_of([&] { fields("a\r\nb\rc\n\nd,e\n", 1); }),
              HasSubstr("line 5: got 2 fields"));
}

TEST_F(CsvTest, LinesEndAcrossTheBuffersEdge) {
  // The reader's buffer holds 256 KiB: "\r" is its last byte, "\n" the first of the next.
  const std::string first((256 << 10) - 1, 'x');
  EXPECT_EQ(fields(first + "\r\nb\r\n", 1), (Texts{first, "b"}));
}

TEST_F(CsvTest, AByteOrderMarkIsNoPartOfTheFirstField) {
  EXPECT_EQ(fields("\xEF\xBB\xBF"
                   "cat,1\n",
                   2),
            (Texts{"cat", "1"}));
  EXPECT_EQ(fields("\xEF\xBB\xBF"
                   "\"cat\",1\n",
                   2),
            (Texts{"cat", "1"}));
  EXPECT_EQ(fields("\xEF\xBB\xBF", 1), Texts{});
  EXPECT_EQ(fields("\xEF\xBB", 1), Texts{"\xEF\xBB"});
  const Dataset two = Dataset::from_csv({files_.write("a",
                                                      "\xEF\xBB\xBF"
                                                      "1\n"),
                                         files_.write("b",
                                                      "\xEF\xBB\xBF"
                                                      "2\n")},
                                        {.columns = {DType::kI64}});
  EXPECT_EQ(values_of(two), (Numbers{1, 2}));
}

TEST_F(CsvTest, FilesThatAreNoUtf8TextAreRefused) {
  EXPECT_THAT(error_of([&] {
                fields(std::string("\xFF\xFE"
                                   "a\0,\0",
                                   6),
                       2);
              }),
              AllOf(HasSubstr("a.csv"), HasSubstr("UTF-16")));
  EXPECT_THAT(error_of([&] { fields(std::string("\xFE\xFF\0a", 4), 1); }), HasSubstr("UTF-16"));
  EXPECT_THAT(error_of([&] { fields("\x1F\x8B\x08", 1); }),
              AllOf(HasSubstr("gzip"), HasSubstr("Compression::kGzip")));
}

// What pandas, Arrow, Excel, R and C write. TensorFlow's CsvDataset reads the same, but makes
// infinities of numbers that are too large.
TEST_F(CsvTest, SpecialAndTinyNumbersAreRead) {
  const auto f32 = [&](const std::string& text) {
    return (*csv(text + "\n", {.columns = {DType::kF32}}).iterate().next())[0].item<float>();
  };
  const auto f64 = [&](const std::string& text) {
    return (*csv(text + "\n", {.columns = {DType::kF64}}).iterate().next())[0].item<double>();
  };
  for (const char* text : {"nan", "NaN", "NAN", "-nan"}) {
    EXPECT_TRUE(std::isnan(f32(text))) << text;
    EXPECT_TRUE(std::isnan(f64(text))) << text;
  }
  for (const char* text : {"inf", "Inf", "INF", "Infinity", "+inf"}) {
    EXPECT_EQ(f32(text), INFINITY) << text;
    EXPECT_EQ(f64(std::string("-") + (text[0] == '+' ? text + 1 : text)), -INFINITY) << text;
  }
  EXPECT_EQ(f32("1e-40"), 1e-40f);  // a denormal
  EXPECT_EQ(f32("1e-45"), std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(f32("1e-50"), 0.0f);
  EXPECT_EQ(f64("1e-50"), 1e-50);
  EXPECT_EQ(f64("4.9e-324"), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(f64("1e-400"), 0.0);
  EXPECT_TRUE(std::signbit(f64("-1e-400")));
  EXPECT_EQ(f64("1E+05"), 1e5);
  EXPECT_EQ(f64("1."), 1.0);
  EXPECT_EQ(f64(".5"), 0.5);
  for (const char* text : {"1e39", "-1e39", "1e400"})
    EXPECT_THAT(error_of([&] { f32(text); }), HasSubstr("want float32")) << text;
  EXPECT_THAT(error_of([&] { f64("1e400"); }), HasSubstr("want float64"));
  for (const char* text : {"#N/A", "1,5e", "1_0", "0x10", "1.0f", "-", "1e"})
    EXPECT_THROW(f32(text), Error) << text;
}

TEST_F(CsvTest, HalfPrecisionOverflowsAreRefused) {
  const auto read = [&](const std::string& text, DType dtype) {
    return (*csv(text + "\n", {.columns = {dtype}}).iterate().next())[0].cast(DType::kF64).item();
  };
  EXPECT_EQ(read("65504", DType::kF16), 65504);  // the largest
  EXPECT_EQ(read("-inf", DType::kF16), -INFINITY);
  EXPECT_EQ(read("1e-10", DType::kF16), 0);
  EXPECT_THAT(error_of([&] { read("70000", DType::kF16); }), HasSubstr("\"70000\""));
  EXPECT_THAT(error_of([&] { read("3.4e38", DType::kBF16); }), HasSubstr("\"3.4e38\""));
}

TEST_F(CsvTest, TruthIsWrittenInAnyCase) {
  const auto read = [&](const std::string& bytes) {
    return values_of(csv(bytes, {.columns = {DType::kBool}}));
  };
  EXPECT_EQ(read("true\nTrue\nTRUE\n1\n"), (Numbers{1, 1, 1, 1}));
  EXPECT_EQ(read("false\nFalse\nFALSE\n0\n"), (Numbers{0, 0, 0, 0}));
  EXPECT_THAT(error_of([&] { read("yes\n"); }), HasSubstr("want bool"));
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
