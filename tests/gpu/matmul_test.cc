#include <cmath>

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

// Split sums are rounded once: with partial sums in 16 bits the error grows.
TEST_F(GpuMatMulTest, LongSumsOf16BitNumbersAreAddedIn32Bits) {
  const KernelCase test = product(DType::kBF16, {64, 65536}, {65536, 64});
  const Tensor got = GpuKernel(test).run().outputs[0].cast(DType::kF64);
  const Tensor a = test.inputs[0].cast(DType::kF64), b = test.inputs[1].cast(DType::kF64);
  for (int64_t i = 0; i < 64; i += 9)
    for (int64_t j = 0; j < 64; j += 9) {
      double sum = 0, size = 0;
      for (int64_t k = 0; k < 65536; ++k) {
        const double term = a.data<double>()[i * 65536 + k] * b.data<double>()[k * 64 + j];
        sum += term;
        size += std::abs(term);
      }
      // Half a unit of bf16 in the result, and what f32 loses on the way.
      EXPECT_NEAR(got.data<double>()[i * 64 + j], sum, std::abs(sum) / 256 + size * 1e-6);
    }
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
