#include <cmath>
#include <cstring>
#include <limits>

#include "tests/kernels/simd_support.h"

namespace cohort::cpu {
namespace {

struct alignas(64) Line {
  std::byte bytes[64];
};

template <class T>
void run_gemm(const Simd& simd, GemmArgs<T> args) {
  std::vector<Line> scratch(simd.of<T>().gemm_scratch_bytes(args) / sizeof(Line) + 1);
  args.scratch = scratch.data()->bytes;
  simd.of<T>().gemm(args);
}

struct Case {
  std::ptrdiff_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  bool bias = false, accumulate = false, relu = false;
  std::ptrdiff_t padding = 0;
};

/// Operands of a case, and what the definition gives for them in double precision.
template <class T>
struct Problem {
  explicit Problem(const Case& c)
      : shape(c),
        lda((c.transpose_a ? c.m : c.k) + c.padding),
        ldb((c.transpose_b ? c.k : c.n) + c.padding),
        ldc(c.n + c.padding),
        a(random_values<T>((c.transpose_a ? c.k : c.m) * lda, 1)),
        b(random_values<T>((c.transpose_b ? c.n : c.k) * ldb, 2)),
        bias(random_values<T>(c.n, 3)),
        c0(random_values<T>(c.m * ldc, 4)) {}

  GemmArgs<T> args(T* c) const {
    return {.m = shape.m,
            .n = shape.n,
            .k = shape.k,
            .a = a.data(),
            .lda = lda,
            .transpose_a = shape.transpose_a,
            .b = b.data(),
            .ldb = ldb,
            .transpose_b = shape.transpose_b,
            .c = c,
            .ldc = ldc,
            .bias = shape.bias ? bias.data() : nullptr,
            .accumulate = shape.accumulate,
            .relu = shape.relu};
  }

  double expected(std::ptrdiff_t i, std::ptrdiff_t j) const {
    double sum = 0;
    for (std::ptrdiff_t k = 0; k < shape.k; ++k)
      sum += double{shape.transpose_a ? a[k * lda + i] : a[i * lda + k]} *
             double{shape.transpose_b ? b[j * ldb + k] : b[k * ldb + j]};
    if (shape.accumulate) sum += c0[i * ldc + j];
    if (shape.bias) sum += bias[j];
    return shape.relu && sum < 0 ? 0 : sum;
  }

  Case shape;
  std::ptrdiff_t lda, ldb, ldc;
  Unaligned<T> a, b, bias, c0;
};

template <class T>
void expect_right(const Simd& simd, const Case& shape) {
  const Problem<T> problem(shape);
  Unaligned<T> c = problem.c0;
  run_gemm(simd, problem.args(c.data()));
  const double tolerance =
      16 * std::numeric_limits<T>::epsilon() * (std::sqrt(double(shape.k)) + 4);
  for (std::ptrdiff_t i = 0; i < shape.m; ++i) {
    for (std::ptrdiff_t j = 0; j < shape.n; ++j)
      ASSERT_NEAR(c[i * problem.ldc + j], problem.expected(i, j), tolerance)
          << "at " << i << ", " << j << " of " << shape.m << "x" << shape.n << "x" << shape.k
          << " transposes " << shape.transpose_a << shape.transpose_b;
    for (std::ptrdiff_t j = shape.n; j < problem.ldc; ++j)
      ASSERT_EQ(c[i * problem.ldc + j], problem.c0[i * problem.ldc + j]) << "padding changed";
  }
  ASSERT_TRUE(c.guard_is_whole());
}

class SimdGemmTest : public SimdTest {};
INSTANTIATE_TEST_SUITE_P(Isas, SimdGemmTest, ::testing::ValuesIn(available_isas()), isa_suffix);

TEST_P(SimdGemmTest, AgreesWithTheDefinitionForEverySmallShape) {
  for (bool transpose_a : {false, true})
    for (bool transpose_b : {false, true})
      for (std::ptrdiff_t m : {0, 1, 2, 3, 13, 14, 15, 29})
        for (std::ptrdiff_t n : {0, 1, 3, 8, 10, 16, 17, 32, 33, 50})
          for (std::ptrdiff_t k : {0, 1, 3, 4, 5, 17}) {
            const Case shape{m,          n,          k,          transpose_a, transpose_b,
                             n % 2 == 0, m % 2 == 0, k % 2 == 0, k % 3};
            expect_right<float>(simd_, shape);
            expect_right<double>(simd_, shape);
          }
}

TEST_P(SimdGemmTest, AgreesWithTheDefinitionAcrossBlocksOfKAndN) {
  for (bool transpose_a : {false, true})
    for (bool transpose_b : {false, true}) {
      expect_right<float>(simd_, {65, 300, 900, transpose_a, transpose_b, true, true, true, 5});
      expect_right<double>(simd_, {37, 270, 500, transpose_a, transpose_b, true, false, true, 0});
      expect_right<float>(simd_, {150, 512, 1024, transpose_a, transpose_b, true, false, false, 0});
    }
}

template <class T>
void expect_rows_split_alike(const Simd& simd, const Case& shape) {
  const Problem<T> problem(shape);
  Unaligned<T> whole = problem.c0;
  run_gemm(simd, problem.args(whole.data()));
  for (std::ptrdiff_t step : {1, 3, 8, 14, 20, 64}) {
    Unaligned<T> parts = problem.c0;
    for (std::ptrdiff_t begin = 0; begin < shape.m; begin += step)
      run_gemm(simd, gemm_rows(problem.args(parts.data()), begin, std::min(begin + step, shape.m)));
    ASSERT_EQ(std::memcmp(whole.data(), parts.data(), whole.size() * sizeof(T)), 0)
        << "rows split by " << step;
  }
}

TEST_P(SimdGemmTest, SplittingRowsChangesNoBit) {
  for (bool transpose_a : {false, true})
    for (bool transpose_b : {false, true}) {
      expect_rows_split_alike<float>(
          simd_, {130, 70, 784, transpose_a, transpose_b, true, true, false, 0});
      expect_rows_split_alike<float>(
          simd_, {45, 10, 128, transpose_a, transpose_b, false, false, true, 0});
      expect_rows_split_alike<float>(simd_, {130, 512, 512, transpose_a, transpose_b});
      expect_rows_split_alike<double>(simd_, {33, 40, 400, transpose_a, transpose_b, true, true});
    }
}

TEST_P(SimdGemmTest, TransposedOperandsGiveTheSameBits) {
  const std::ptrdiff_t m = 40, n = 90, k = 500;
  const Problem<float> plain({m, n, k});
  Problem<float> both({m, n, k, true, true});
  for (std::ptrdiff_t i = 0; i < m; ++i)
    for (std::ptrdiff_t p = 0; p < k; ++p) both.a[p * m + i] = plain.a[i * k + p];
  for (std::ptrdiff_t p = 0; p < k; ++p)
    for (std::ptrdiff_t j = 0; j < n; ++j) both.b[j * k + p] = plain.b[p * n + j];
  Unaligned<float> c1(m * n), c2(m * n);
  run_gemm(simd_, plain.args(c1.data()));
  run_gemm(simd_, both.args(c2.data()));
  EXPECT_EQ(c1.copy(), c2.copy());
}

TEST_P(SimdGemmTest, ScratchNeverGrowsWithFewerRows) {
  for (std::ptrdiff_t m : {1, 14, 100, 1000}) {
    const GemmArgs<float> args{.m = m, .n = 512, .k = 700, .lda = 700, .ldb = 512};
    EXPECT_LE(
        simd_.f32.gemm_scratch_bytes(args),
        simd_.f32.gemm_scratch_bytes({.m = 1000, .n = 512, .k = 700, .lda = 700, .ldb = 512}));
  }
}

TEST_P(SimdGemmTest, ReluKeepsNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> a = {nan, 1}, b = {1, -1}, c(4);
  run_gemm<float>(simd_, {.m = 2,
                          .n = 2,
                          .k = 1,
                          .a = a.data(),
                          .lda = 1,
                          .b = b.data(),
                          .ldb = 2,
                          .c = c.data(),
                          .ldc = 2,
                          .relu = true});
  EXPECT_TRUE(std::isnan(c[0]));
  EXPECT_TRUE(std::isnan(c[1]));
  EXPECT_EQ(c[2], 1.0f);
  EXPECT_EQ(c[3], 0.0f);
}

}  // namespace
}  // namespace cohort::cpu
