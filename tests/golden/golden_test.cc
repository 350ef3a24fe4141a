#include "tests/golden/golden.h"

#include <gtest/gtest.h>

#include <cmath>

namespace cohort::testing {
namespace {

TEST(GoldenTest, ReadsShapesAndValues) {
  const Golden golden("ops");
  const Tensor x = golden["softmax/rank3/x"];
  const Tensor y = golden["softmax/rank3/y"];
  EXPECT_EQ(y.shape(), (Shape{2, 3, 5}));
  ASSERT_EQ(y.dtype(), DType::kF32);
  for (int row = 0; row < 6; ++row) {
    double sum = 0;
    for (int i = 0; i < 5; ++i) sum += std::exp(x.values<float>()[row * 5 + i]);
    for (int i = 0; i < 5; ++i)
      EXPECT_NEAR(y.values<float>()[row * 5 + i], std::exp(x.values<float>()[row * 5 + i]) / sum,
                  1e-6);
  }
}

TEST(GoldenTest, ReadsScalarsTextsAndBools) {
  const Golden golden("layers");
  EXPECT_EQ(golden.text("conv2d/same/padding"), "same");
  EXPECT_EQ(golden.values<int>("conv2d/same_stride32/strides"), (std::vector<int>{3, 2}));
  EXPECT_DOUBLE_EQ(golden.number("batch_normalization/rank4/epsilon"), 0.01);
  EXPECT_EQ(golden["batch_normalization/no_scale/scale"].dtype(), DType::kBool);
  EXPECT_EQ(golden["batch_normalization/no_scale/scale"].shape(), Shape{});
}

TEST(GoldenTest, ListsCasesInFileOrder) {
  const Golden golden("layers");
  EXPECT_EQ(golden.cases("add"), (std::vector<std::string>{"two", "three"}));
}

TEST(GoldenTest, MissingNamesAndTopicsAreErrors) {
  const Golden golden("layers");
  EXPECT_FALSE(golden.has("dense/none"));
  EXPECT_THROW(golden["dense/none"], Error);
  EXPECT_THROW(golden.cases("none"), Error);
  EXPECT_THROW(Golden("none"), Error);
}

}  // namespace
}  // namespace cohort::testing
