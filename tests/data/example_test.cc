#include "cohort/data/example.h"

#include "tests/data/support.h"
#include "tests/data/temporary_files.h"

namespace cohort::data {
namespace {

using ::testing::HasSubstr;

/// Parses one record.
Element parse(const std::string& record, std::vector<FixedLenFeature> features) {
  Element text;
  text_tensor(record, text);
  return example_parser(std::move(features))(text);
}

const FixedLenFeature kX{.name = "x", .dtype = DType::kF32, .shape = Shape{2}};
const FixedLenFeature kY{.name = "y", .dtype = DType::kI64, .shape = Shape{}};
const FixedLenFeature kImage{.name = "image", .dtype = DType::kU8, .shape = Shape{2, 3}};

std::string example() {
  return serialize_example({{"x", Tensor::from<float>({1.5f, -2.0f})},
                            {"y", Tensor::scalar<int64_t>(-7)},
                            {"image", Tensor::from<uint8_t>({0, 1, 2, 3, 4, 255})}});
}

TEST(ExampleTest, WhatIsSerializedIsParsed) {
  const Element got = parse(example(), {kY, kImage, kX});
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0].item<int64_t>(), -7);
  EXPECT_EQ(numbers_of(got[1]), (Numbers{0, 1, 2, 3, 4, 255}));
  EXPECT_EQ(got[1].shape(), (Shape{2, 3}));
  EXPECT_EQ(got[2].values<float>()[0], 1.5f);
  EXPECT_EQ(got[2].values<float>()[1], -2.0f);
}

TEST(ExampleTest, UnpackedListsAreReadToo) {
  // features { feature { key: "x" value { float_list { value: 1.5 value: -2 } } } }, not packed,
  // and "y" as int64_list { value: 3 }.
  const std::string bytes(
      "\x0a\x20"
      "\x0a\x11\x0a\x01x\x12\x0c\x12\x0a\x0d\x00\x00\xc0\x3f\x0d\x00\x00\x00\xc0"
      "\x0a\x0b\x0a\x01y\x12\x06\x1a\x04\x08\x05\x08\x03",
      34);
  const Element got = parse(bytes, {kX, {.name = "y", .dtype = DType::kI64, .shape = Shape{2}}});
  EXPECT_EQ(got[0].values<float>()[1], -2.0f);
  EXPECT_EQ(numbers_of(got[1]), (Numbers{5, 3}));
}

TEST(ExampleTest, MissingFeaturesTakeTheirDefaultOrAreNamed) {
  FixedLenFeature z{.name = "z", .dtype = DType::kF32, .shape = Shape{1}};
  EXPECT_EQ(error_of([&] { parse(example(), {z}); }),
            "parse_example: feature \"z\": got nothing; want floats");
  z.default_value = Tensor::from<float>({9.0f});
  EXPECT_EQ(parse(example(), {z})[0].item(), 9.0f);
}

TEST(ExampleTest, OtherKindsAndSizesAreNamed) {
  EXPECT_EQ(
      error_of([&] { parse(example(), {{.name = "x", .dtype = DType::kI64, .shape = Shape{2}}}); }),
      "parse_example: feature \"x\": got floats; want integers");
  EXPECT_EQ(
      error_of([&] { parse(example(), {{.name = "x", .dtype = DType::kF32, .shape = Shape{3}}}); }),
      "parse_example: feature \"x\": got 2 values; want 3 for shape [3]");
  EXPECT_EQ(code_of([&] { parse("\xff\xff", {kX}); }), Code::kDataLoss);
}

TEST(ExampleTest, OpenShapesTakeWhatThereIs) {
  const FixedLenFeature open{.name = "image", .dtype = DType::kU8, .shape = Shape{Dim("bytes")}};
  EXPECT_EQ(parse(example(), {open})[0].shape(), Shape{6});
}

TEST(ExampleTest, FeaturesThatCannotBeAreRefused) {
  const auto refuse = [](std::vector<FixedLenFeature> features) {
    return error_of([&] { example_parser(std::move(features)); });
  };
  EXPECT_THAT(refuse({}), HasSubstr("got no features"));
  EXPECT_THAT(refuse({kX, kX}), HasSubstr("got feature \"x\" twice"));
  EXPECT_THAT(refuse({{.name = "h", .dtype = DType::kF16, .shape = Shape{}}}),
              HasSubstr("got dtype float16; want float32, int64 or uint8"));
  EXPECT_THAT(refuse({{.name = "h", .shape = Shape{Dim("A"), 2}}}), HasSubstr("one symbol alone"));
  EXPECT_THAT(refuse({{.name = "h", .shape = Shape{2}, .default_value = Tensor::scalar(1.0f)}}),
              HasSubstr("got a default of float32[]; want float32[2]"));
  EXPECT_THROW(serialize_example({{"x", Tensor::scalar<double>(1)}}), Error);
}

TEST(ExampleTest, RecordsBecomeBatches) {
  TemporaryFiles files;
  std::vector<std::string> records;
  for (int64_t i = 0; i < 5; ++i)
    records.push_back(serialize_example({{"y", Tensor::scalar<int64_t>(i)}}));
  const std::string path = files.write_records("a", records);
  for (const int threads : {1, 3}) {
    const Dataset dataset = Dataset::from_tfrecord({path}).parse_example({kY}, threads).batch(2);
    EXPECT_EQ(batches_of(dataset), (Batches{{0, 1}, {2, 3}, {4}}));
    EXPECT_EQ(dataset.element_spec(), (ElementSpec{{DType::kI64, Shape{batch_dim()}}}));
    EXPECT_THAT(dataset.to_string(), HasSubstr(".parse_example(y: int64[]).batch(2)"));
  }
}

}  // namespace
}  // namespace cohort::data
