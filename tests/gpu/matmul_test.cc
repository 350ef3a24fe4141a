#include "tests/gpu/device_case.h"

namespace cohort::testing {
namespace {

using GpuMatMulTest = GpuTest;

KernelCase product(DType dtype, Shape a, Shape b, bool transpose_a = false,
                   bool transpose_b = false) {
  return {"MatMul",
          {random_numbers(dtype, std::move(a), 1), random_numbers(dtype, std::move(b), 2)},
          {{"transpose_a", transpose_a}, {"transpose_b", transpose_b}}};
}

TEST_F(GpuMatMulTest, AgreesForOddSizesAndEveryTransposition) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16})
    for (const auto& [m, n, k] : {std::tuple{1, 1, 1}, {3, 5, 7}, {33, 10, 128}, {64, 65, 66}})
      for (const bool ta : {false, true})
        for (const bool tb : {false, true})
          expect_like_cpu(product(dtype, ta ? Shape{k, m} : Shape{m, k},
                                  tb ? Shape{n, k} : Shape{k, n}, ta, tb),
                          16 * rounding(dtype));
}

TEST_F(GpuMatMulTest, StacksBroadcast) {
  const std::pair<Shape, Shape> cases[] = {{{4, 3, 5}, {4, 5, 6}},
                                           {{4, 3, 5}, {5, 6}},
                                           {{3, 5}, {4, 5, 6}},
                                           {{2, 1, 3, 5}, {1, 4, 5, 6}},
                                           {{2, 4, 3, 5}, {4, 5, 6}}};
  for (const auto& [a, b] : cases) expect_like_cpu(product(DType::kF32, a, b), 1e-5);
}

TEST_F(GpuMatMulTest, EmptyDimensionsAreLegal) {
  for (const auto& [m, n, k] : {std::tuple{0, 4, 3}, {4, 0, 3}, {4, 3, 0}})
    expect_like_cpu(product(DType::kF32, {m, k}, {k, n}), 1e-6);
}

TEST_F(GpuMatMulTest, BiasAndActivationAreFused) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16})
    for (const char* activation : {"", "relu"})
      for (const int64_t n : {1, 10, 128}) {
        KernelCase test = product(dtype, {33, 40}, {40, n});
        test.op = "FusedMatMul";
        test.inputs.push_back(random_numbers(dtype, {n}, 3));
        test.attrs.set("activation", std::string(activation));
        expect_like_cpu(test, 16 * rounding(dtype));
      }
}

}  // namespace
}  // namespace cohort::testing
