#include <gtest/gtest.h>
#include <fstream>
#include <sstream>

#include "cohort/data/example.h"
#include "cohort/data/text.h"

namespace cohort::data {
namespace {

const std::vector<FixedLenFeature> kFeatures{
    {.name = "image", .dtype = DType::kU8, .shape = Shape{2, 2}},
    {.name = "x", .dtype = DType::kF32, .shape = Shape{2}},
    {.name = "label", .dtype = DType::kI64, .shape = Shape{}}};

Dataset recorded(bool gzip) {
  const std::string path = std::string(COHORT_TEST_DATA) + "/tensorflow.tfrecord";
  return Dataset::from_tfrecord({gzip ? path + ".gz" : path},
                                {.compression = gzip ? Compression::kGzip : Compression::kNone});
}

// generate_tfrecord.py made the files.
TEST(TFRecordGoldenTest, TensorFlowsExamplesAreRead) {
  for (const bool gzip : {false, true}) {
    int64_t i = 0;
    for (Iterator examples = recorded(gzip).parse_example(kFeatures).iterate();
         const Element* example = examples.next();) {
      ++i;
      const auto image = (*example)[0].values<uint8_t>();
      EXPECT_EQ(std::vector<int>(image.begin(), image.end()),
                (std::vector<int>{static_cast<int>(i), 0, 255, 7}));
      EXPECT_EQ((*example)[1].values<float>()[0], 0.5f * static_cast<float>(i));
      EXPECT_EQ((*example)[1].values<float>()[1], 1e-3f);
      EXPECT_EQ((*example)[2].item<int64_t>(), -i);
    }
    EXPECT_EQ(i, 2);
  }
}

TEST(TFRecordGoldenTest, WeSerializeTheSameBytes) {
  Iterator records = recorded(false).iterate();
  for (int64_t i = 1; const Element* record = records.next(); ++i)
    EXPECT_EQ(
        text_of((*record)[0]),
        serialize_example({{"image", Tensor::from<uint8_t>({static_cast<uint8_t>(i), 0, 255, 7})},
                           {"x", Tensor::from<float>({0.5f * static_cast<float>(i), 1e-3f})},
                           {"label", Tensor::scalar(-i)}}));
}

}  // namespace
}  // namespace cohort::data
