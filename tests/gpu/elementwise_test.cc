#include <cmath>

#include "tests/gpu/device_case.h"

namespace cohort::testing {
namespace {

using GpuElementwiseTest = GpuTest;

constexpr DType kFloating[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kF64};
constexpr DType kIntegers[] = {DType::kI32, DType::kI64, DType::kU8, DType::kI8};
constexpr int64_t kSizes[] = {0, 1, 3, 31, 255, 257, 4097};

const char* const kNumberUnary[] = {"Neg", "Abs", "Sign", "Square", "Relu"};
const char* const kFloatingUnary[] = {"Exp",   "Expm1",    "Log",  "Log1p",   "Sqrt",       "Rsqrt",
                                      "Sin",   "Cos",      "Tanh", "Sigmoid", "Reciprocal", "Erf",
                                      "Floor", "Softplus", "Ceil", "Round",   "IsFinite"};
const char* const kNumberBinary[] = {
    "Add", "Sub", "Mul", "Maximum", "Minimum", "SquaredDifference", "ReluGrad"};
const char* const kComparisons[] = {"Equal",     "NotEqual", "Less",
                                    "LessEqual", "Greater",  "GreaterEqual"};

TEST_F(GpuElementwiseTest, UnaryOpsAgreeForEveryTypeAndSize) {
  for (const DType dtype : kFloating)
    for (const int64_t n : kSizes) {
      const Tensor x = random_numbers(dtype, {n});
      for (const char* op : kNumberUnary) expect_like_cpu({op, {x}}, rounding(dtype));
      for (const char* op : kFloatingUnary) expect_like_cpu({op, {x}}, rounding(dtype));
    }
  for (const DType dtype : kIntegers)
    for (const char* op : kNumberUnary) expect_like_cpu({op, {random_numbers(dtype, {257})}}, 0);
  expect_like_cpu({"LogicalNot", {random_numbers(DType::kBool, {77})}}, 0);
}

TEST_F(GpuElementwiseTest, BinaryOpsAgreeForEveryTypeAndSize) {
  for (const DType dtype : kFloating)
    for (const int64_t n : kSizes) {
      const Tensor a = random_numbers(dtype, {n}, 1), b = random_numbers(dtype, {n}, 2);
      for (const char* op : kNumberBinary) expect_like_cpu({op, {a, b}}, rounding(dtype));
      for (const char* op : {"Div", "FloorMod", "SigmoidGrad", "TanhGrad"})
        expect_like_cpu({op, {a, b}}, 4 * rounding(dtype));
      for (const char* op : kComparisons) expect_like_cpu({op, {a, b}}, 0);
    }
  for (const DType dtype : kIntegers) {
    const Tensor a = random_numbers(dtype, {300}, 1), b = random_numbers(dtype, {300}, 2);
    for (const char* op : kNumberBinary) expect_like_cpu({op, {a, b}}, 0);
    for (const char* op : kComparisons) expect_like_cpu({op, {a, b}}, 0);
    const Tensor divisor = Tensor::full(dtype, {300}, 2);
    for (const char* op : {"Div", "FloorMod"}) expect_like_cpu({op, {a, divisor}}, 0);
  }
}

TEST_F(GpuElementwiseTest, PowersAgreeWithinRounding) {
  const Tensor a = run_kernel({"Abs", {random_numbers(DType::kF32, {1000})}}).outputs[0];
  expect_like_cpu({"Pow", {a, random_numbers(DType::kF32, {1000}, 2)}}, 2e-5);
}

TEST_F(GpuElementwiseTest, BroadcastingFollowsNumPy) {
  const std::pair<Shape, Shape> shapes[] = {{{5, 7}, {7}},
                                            {{7}, {5, 7}},
                                            {{5, 1}, {1, 7}},
                                            {{}, {3, 4}},
                                            {{2, 3, 5}, {3, 1}},
                                            {{2, 1, 5}, {1, 3, 1}},
                                            {{2, 3, 4, 5}, {2, 1, 4, 1}},
                                            {{0, 4}, {4}},
                                            {{6, 1, 3, 1, 5}, {1, 2, 1, 4, 1}}};
  for (const auto& [a, b] : shapes)
    for (const char* op : {"Add", "Sub", "Less"})
      expect_like_cpu({op, {random_numbers(DType::kF32, a, 1), random_numbers(DType::kF32, b, 2)}},
                      op == std::string("Less") ? 0 : 1e-6);
}

TEST_F(GpuElementwiseTest, SelectTakesThreeShapes) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kI64, DType::kU8})
    expect_like_cpu({"Select",
                     {random_numbers(DType::kBool, {4, 1}), random_numbers(dtype, {4, 9}, 2),
                      random_numbers(dtype, {9}, 3)}},
                    0);
}

TEST_F(GpuElementwiseTest, AProductAndASumAreRoundedOnce) {
  for (const DType dtype : kFloating)
    expect_like_cpu({"Fma",
                     {random_numbers(dtype, {4, 77}, 1), random_numbers(dtype, {77}, 2),
                      random_numbers(dtype, {4, 1}, 3)}},
                    0);
}

TEST_F(GpuElementwiseTest, EveryCastGivesTheSameBits) {
  const DType all[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kI32,
                       DType::kI64, DType::kU8,  DType::kI8,   DType::kBool};
  for (const DType from : all)
    for (const DType to : all)
      expect_like_cpu({"Cast", {random_numbers(from, {129})}, {{"dtype", to}}}, 0);
  const Tensor edges = Tensor::from({1e10f, -1e10f, NAN, INFINITY, -INFINITY, 0.5f, -0.5f});
  for (const DType to : {DType::kI32, DType::kI64, DType::kU8, DType::kI8, DType::kBool})
    expect_like_cpu({"Cast", {edges}, {{"dtype", to}}}, 0);
}

TEST_F(GpuElementwiseTest, AddNAddsInOrder) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kI32}) {
    std::vector<Tensor> inputs;
    for (uint64_t i = 0; i < 5; ++i) inputs.push_back(random_numbers(dtype, {333}, i));
    expect_like_cpu({"AddN", inputs}, 0);
  }
}

TEST_F(GpuElementwiseTest, IntegerDivisionByZeroIsFoundWhenTheDeviceIsWaitedFor) {
  const KernelCase test = {"Div", {Tensor::from({4, 5, 6}), Tensor::from({1, 0, 2})}};
  GpuKernel kernel(test);
  try {
    kernel.run();
    FAIL() << "want an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("divisor 0 for element 1"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace cohort::testing
