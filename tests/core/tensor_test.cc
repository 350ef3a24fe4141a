#include "cohort/core/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace cohort {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::expect_invalid;
using ::testing::HasSubstr;

Tensor matrix() { return Tensor::from({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}, Shape{2, 3}); }

TEST(TensorTest, NewMemoryIsZeroAndAligned) {
  const Tensor t(DType::kF64, {3, 5});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(t.raw()) % 64, 0u);
  EXPECT_THAT(t.values<double>(), ::testing::Each(0.0));
  EXPECT_EQ(t.num_bytes(), 120u);
}

TEST(TensorTest, KnowsItsElements) {
  EXPECT_THAT(matrix().values<float>(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(Tensor::scalar(int64_t{7}).item<int>(), 7);
  constexpr int64_t kNoDouble = (int64_t{1} << 53) + 1;
  EXPECT_EQ(Tensor::scalar(kNoDouble).item<int64_t>(), kNoDouble);
  EXPECT_THAT(Tensor::full(DType::kBF16, {2}, 0.5).cast(DType::kF32).values<float>(),
              ElementsAre(0.5f, 0.5f));
  EXPECT_THAT(Tensor::from<bool>({true, false}, Shape{2}).values<bool>(), ElementsAre(true, false));
  expect_invalid({"got 2 values for shape [3]; want 3"}, [] {
    Tensor::from({1.f, 2.f}, Shape{3});
  });
  expect_invalid({"read as float64"}, [] { matrix().data<double>(); });
  expect_invalid({"item: got a tensor of shape [2, 3]"}, [] { matrix().item(); });
  expect_error(Code::kFailedPrecondition, {"empty handle"}, [] { Tensor().data<float>(); });
}

TEST(TensorTest, ViewsShareMemory) {
  Tensor t = matrix();
  Tensor column = t.slice(1, 1, 3);
  EXPECT_EQ(column.shape(), (Shape{2, 2}));
  EXPECT_FALSE(column.is_contiguous());
  t.data<float>()[1] = 20;
  EXPECT_THAT(column.contiguous().values<float>(), ElementsAre(20, 3, 5, 6));
  EXPECT_EQ(t.slice(0, 1, 2).raw(), t.data<float>() + 3);
  expect_invalid({"call contiguous() first"}, [&] { column.values<float>(); });
}

TEST(TensorTest, TransposeIsAView) {
  const Tensor t = matrix(), turned = t.transpose({1, 0});
  EXPECT_EQ(turned.raw(), t.raw());
  EXPECT_THAT(turned.clone().values<float>(), ElementsAre(1, 4, 2, 5, 3, 6));
  expect_invalid({"want each axis once"}, [&] { t.transpose({0, 0}); });
  expect_invalid({"transpose"}, [&] { t.transpose({0}); });
}

TEST(TensorTest, ReshapeCopiesOnlyWhatIsStrided) {
  const Tensor t = matrix();
  EXPECT_EQ(t.reshape({3, -1}).raw(), t.raw());
  EXPECT_EQ(t.reshape({3, -1}).shape(), (Shape{3, 2}));
  EXPECT_THAT(t.transpose({1, 0}).reshape({6}).values<float>(), ElementsAre(1, 4, 2, 5, 3, 6));
  expect_invalid({"same number of elements"}, [&] { t.reshape({4}); });
  expect_invalid({"got dimension -2"}, [&] { t.reshape({-2, 3}); });
  expect_invalid({"got dimension -1"}, [&] { t.reshape({-1, -1}); });
}

TEST(TensorTest, SlicesStayInside) {
  const Tensor t = matrix();
  EXPECT_EQ(t.slice(-1, 0, 0).num_elements(), 0);
  expect_error(Code::kOutOfRange, {"slice: got [1, 4) on axis 1"}, [&] { t.slice(1, 1, 4); });
  expect_error(Code::kOutOfRange, {"slice"}, [&] { t.slice(0, -1, 1); });
  expect_invalid({"got axis 2"}, [&] { t.slice(2, 0, 1); });
}

TEST(TensorTest, CastConverts) {
  const Tensor t = Tensor::from({-1.7f, 0.f, 2.9f});
  EXPECT_THAT(t.cast(DType::kI32).values<int32_t>(), ElementsAre(-1, 0, 2));
  EXPECT_THAT(t.cast(DType::kBool).values<bool>(), ElementsAre(true, false, true));
  EXPECT_THAT(matrix().slice(1, 0, 1).cast(DType::kF64).values<double>(), ElementsAre(1, 4));
}

TEST(TensorTest, EmptyTensorsAreLegal) {
  const Tensor t(DType::kF32, {0, 3});
  EXPECT_EQ(t.num_elements(), 0);
  EXPECT_TRUE(t.is_contiguous());
  EXPECT_TRUE(t.values<float>().empty());
  EXPECT_EQ(t.reshape({0, 7}).shape(), (Shape{0, 7}));
  EXPECT_TRUE(bitwise_equal(t, t.clone()));
}

TEST(TensorTest, BitwiseEqualityTellsSignsOfZero) {
  EXPECT_TRUE(bitwise_equal(matrix(), matrix().transpose({1, 0}).clone().transpose({1, 0})));
  EXPECT_FALSE(bitwise_equal(Tensor::scalar(0.f), Tensor::scalar(-0.f)));
  EXPECT_FALSE(bitwise_equal(Tensor::scalar(0.f), Tensor::scalar(0.0)));
  EXPECT_FALSE(bitwise_equal(matrix(), matrix().reshape({6})));
}

TEST(TensorTest, PrintsLikeNumPy) {
  EXPECT_THAT(matrix().to_string(), HasSubstr("[[1, 2, 3],\n [4, 5, 6]]"));
  EXPECT_THAT(Tensor::from<bool>({true}, Shape{1}).to_string(), HasSubstr("[true]"));
}

TEST(TensorTest, StorageIsFreedWithItsLastView) {
  bool freed = false;
  float memory[4] = {1, 2, 3, 4};
  Tensor view;
  {
    Tensor whole(DType::kF32, {4},
                 std::make_shared<Storage>(memory, sizeof(memory), [&](void*) { freed = true; }));
    view = whole.slice(0, 2, 4);
  }
  EXPECT_FALSE(freed);
  EXPECT_THAT(view.values<float>(), ElementsAre(3, 4));
  view = Tensor();
  EXPECT_TRUE(freed);
}

}  // namespace
}  // namespace cohort
