#include <cmath>

#include "tests/gpu/device_case.h"

namespace cohort::testing {
namespace {

using GpuReduceTest = GpuTest;
using Ints = std::vector<int64_t>;

Attrs over(Ints axes, bool keepdims = false) {
  return {{"axis", std::move(axes)}, {"keepdims", keepdims}};
}

const char* const kOps[] = {"ReduceSum", "ReduceMax", "ReduceMin"};

TEST_F(GpuReduceTest, AgreesOverAnyAxes) {
  const std::pair<Shape, Ints> cases[] = {
      {{1}, {0}},          {{1000}, {0}},          {{300, 7}, {0}},
      {{7, 300}, {1}},     {{33, 65}, {0, 1}},     {{4, 5, 6}, {1}},
      {{4, 5, 6}, {0, 2}}, {{3, 4, 5, 6}, {1, 2}}, {{1, 9}, {0}}};
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16})
    for (const auto& [shape, axes] : cases)
      for (const char* op : kOps)
        expect_like_cpu({op, {random_numbers(dtype, shape)}, over(axes)}, 8 * rounding(dtype));
  for (const DType dtype : {DType::kI32, DType::kI64, DType::kU8, DType::kI8})
    for (const auto& [shape, axes] : cases)
      for (const char* op : kOps)
        expect_like_cpu({op, {random_numbers(dtype, shape)}, over(axes, true)}, 0);
}

// Large enough to be split among blocks and combined.
TEST_F(GpuReduceTest, AgreesForLongColumnsAndRows) {
  const std::pair<Shape, Ints> cases[] = {
      {{100003}, {0}}, {{20011, 10}, {0}}, {{3, 70001}, {1}}, {{64, 28, 28, 32}, {0, 1, 2}}};
  for (const auto& [shape, axes] : cases)
    for (const char* op : {"ReduceSum", "ReduceMean", "ReduceMax"})
      expect_like_cpu({op, {random_numbers(DType::kF32, shape)}, over(axes)}, 1e-4);
}

TEST_F(GpuReduceTest, MeansProductsAnyAndAllAgree) {
  expect_like_cpu({"ReduceMean", {random_numbers(DType::kF32, {6, 50})}, over({1})}, 1e-5);
  expect_like_cpu({"ReduceProd", {random_numbers(DType::kF64, {6, 9})}, over({0})}, 1e-12);
  for (const char* op : {"ReduceAny", "ReduceAll"})
    expect_like_cpu({op, {random_numbers(DType::kBool, {40, 3})}, over({1})}, 0);
}

TEST_F(GpuReduceTest, NothingGivesTheNeutralElement) {
  for (const DType dtype : {DType::kF32, DType::kI32, DType::kU8})
    for (const char* op : {"ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin"})
      expect_like_cpu({op, {Tensor(dtype, {0, 3})}, over({0})}, 0);
  const KernelResult mean = GpuKernel({"ReduceMean", {Tensor(DType::kF32, {0})}, over({0})}).run();
  EXPECT_TRUE(std::isnan(mean.outputs[0].item<double>()));
}

TEST_F(GpuReduceTest, NaNWinsMaximumAndMinimum) {
  const Tensor x = Tensor::from({1.f, NAN, 2.f, 3.f, 4.f, 5.f}, {2, 3});
  for (const char* op : {"ReduceMax", "ReduceMin"}) expect_like_cpu({op, {x}, over({1})}, 1e-9);
}

}  // namespace
}  // namespace cohort::testing
