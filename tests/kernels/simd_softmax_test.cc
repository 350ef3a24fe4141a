#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/kernels/simd_support.h"

namespace cohort::cpu {
namespace {

class SimdSoftmaxTest : public SimdTest {};
INSTANTIATE_TEST_SUITE_P(Isas, SimdSoftmaxTest, ::testing::ValuesIn(available_isas()), isa_suffix);

constexpr std::ptrdiff_t kRows = 3;
const std::vector<std::ptrdiff_t> kColumns = {1, 2, 3, 7, 8, 10, 15, 16, 17, 33, 100, 1000};

/// log softmax of row r in double precision.
template <class T>
std::vector<double> log_softmax(const Unaligned<T>& x, std::ptrdiff_t r, std::ptrdiff_t columns) {
  std::vector<double> row(columns);
  for (std::ptrdiff_t c = 0; c < columns; ++c) row[c] = x[r * columns + c];
  const double highest = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (double v : row) sum += std::exp(v - highest);
  for (double& v : row) v -= highest + std::log(sum);
  return row;
}

template <class T>
constexpr double kTolerance = sizeof(T) == 4 ? 4e-6 : 1e-14;

template <class T>
void expect_softmax(const Simd& simd, std::ptrdiff_t columns) {
  const Unaligned<T> x = random_values<T>(kRows * columns, 1, -9, 9);
  Unaligned<T> y(kRows * columns), log_y(kRows * columns);
  simd.of<T>().softmax(x.data(), y.data(), kRows, columns);
  simd.of<T>().log_softmax(x.data(), log_y.data(), kRows, columns);
  for (std::ptrdiff_t r = 0; r < kRows; ++r) {
    const auto want = log_softmax(x, r, columns);
    for (std::ptrdiff_t c = 0; c < columns; ++c) {
      ASSERT_NEAR(y[r * columns + c], std::exp(want[c]), kTolerance<T> * std::exp(want[c]));
      ASSERT_NEAR(log_y[r * columns + c], want[c], kTolerance<T>);
    }
  }
  ASSERT_TRUE(y.guard_is_whole() && log_y.guard_is_whole());
}

TEST_P(SimdSoftmaxTest, RowsAgreeWithTheDefinition) {
  for (std::ptrdiff_t columns : kColumns) {
    expect_softmax<float>(simd_, columns);
    expect_softmax<double>(simd_, columns);
  }
}

TEST_P(SimdSoftmaxTest, GradientsAgreeWithTheJacobian) {
  for (std::ptrdiff_t columns : kColumns) {
    const std::ptrdiff_t n = kRows * columns;
    const Unaligned<double> x = random_values<double>(n, 1), dy = random_values<double>(n, 2);
    Unaligned<double> y(n), log_y(n), dx(n), log_dx(n);
    simd_.f64.softmax(x.data(), y.data(), kRows, columns);
    simd_.f64.log_softmax(x.data(), log_y.data(), kRows, columns);
    simd_.f64.softmax_grad(dy.data(), y.data(), dx.data(), kRows, columns);
    simd_.f64.log_softmax_grad(dy.data(), log_y.data(), log_dx.data(), kRows, columns);
    for (std::ptrdiff_t r = 0; r < kRows; ++r)
      for (std::ptrdiff_t j = 0; j < columns; ++j) {
        double want = 0, log_want = 0;
        for (std::ptrdiff_t i = 0; i < columns; ++i) {
          const double yi = y[r * columns + i], yj = y[r * columns + j], dyi = dy[r * columns + i];
          want += dyi * yi * ((i == j) - yj);
          log_want += dyi * ((i == j) - yj);
        }
        ASSERT_NEAR(dx[r * columns + j], want, 1e-13);
        ASSERT_NEAR(log_dx[r * columns + j], log_want, 1e-12);
      }
  }
}

template <class T>
void expect_sparse(const Simd& simd, std::ptrdiff_t columns) {
  const Unaligned<T> x = random_values<T>(kRows * columns, 1, -9, 9);
  const std::vector<std::int32_t> labels = {0, static_cast<std::int32_t>(columns - 1),
                                            static_cast<std::int32_t>(columns / 2)};
  const std::vector<T> scale = {T(1), T(0.5), T(2)};
  Unaligned<T> loss(kRows), backprop(kRows * columns);
  EXPECT_EQ(simd.of<T>().sparse_cross_entropy_i32({.rows = kRows,
                                                   .columns = columns,
                                                   .logits = x.data(),
                                                   .labels = labels.data(),
                                                   .loss = loss.data(),
                                                   .backprop = backprop.data(),
                                                   .row_scale = scale.data()}),
            -1);
  for (std::ptrdiff_t r = 0; r < kRows; ++r) {
    const auto want = log_softmax(x, r, columns);
    ASSERT_NEAR(loss[r], -want[labels[r]], kTolerance<T>);
    for (std::ptrdiff_t c = 0; c < columns; ++c)
      ASSERT_NEAR(backprop[r * columns + c], (std::exp(want[c]) - (c == labels[r])) * scale[r],
                  kTolerance<T>);
  }
  ASSERT_TRUE(loss.guard_is_whole() && backprop.guard_is_whole());
}

TEST_P(SimdSoftmaxTest, SparseCrossEntropyAgreesWithTheDefinition) {
  for (std::ptrdiff_t columns : kColumns) {
    expect_sparse<float>(simd_, columns);
    expect_sparse<double>(simd_, columns);
  }
}

TEST_P(SimdSoftmaxTest, LabelTypesAgreeAndBackpropIsOptional) {
  const std::ptrdiff_t columns = 10;
  const Unaligned<float> x = random_values<float>(kRows * columns, 1);
  const std::int32_t l32[] = {3, 9, 0};
  const std::int64_t l64[] = {3, 9, 0};
  const std::uint8_t l8[] = {3, 9, 0};
  float a[3], b[3], c[3];
  simd_.f32.sparse_cross_entropy_i32({kRows, columns, x.data(), l32, a, nullptr, nullptr});
  simd_.f32.sparse_cross_entropy_i64({kRows, columns, x.data(), l64, b, nullptr, nullptr});
  simd_.f32.sparse_cross_entropy_u8({kRows, columns, x.data(), l8, c, nullptr, nullptr});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(a[i], b[i]);
    EXPECT_EQ(a[i], c[i]);
  }
}

TEST_P(SimdSoftmaxTest, LabelsOutsideTheClassesAreReportedAndGiveNan) {
  const std::vector<float> x(12, 0.5f);
  for (std::int64_t bad : {std::int64_t{-1}, std::int64_t{4}, std::int64_t{1} << 40}) {
    const std::int64_t labels[] = {3, bad, bad};
    float loss[3];
    std::vector<float> backprop(12);
    EXPECT_EQ(simd_.f32.sparse_cross_entropy_i64(
                  {3, 4, x.data(), labels, loss, backprop.data(), nullptr}),
              1);
    EXPECT_FALSE(std::isnan(loss[0]));
    EXPECT_TRUE(std::isnan(loss[1]));
    EXPECT_TRUE(std::isnan(backprop[4]));
  }
}

TEST_P(SimdSoftmaxTest, DenseCrossEntropyAgreesWithTheDefinition) {
  for (std::ptrdiff_t columns : kColumns) {
    const std::ptrdiff_t n = kRows * columns;
    const Unaligned<float> x = random_values<float>(n, 1, -9, 9);
    Unaligned<float> labels = random_values<float>(n, 2, 0, 1);
    labels[0] = 0;
    Unaligned<float> loss(kRows), backprop(n);
    simd_.f32.cross_entropy(
        {kRows, columns, x.data(), labels.data(), loss.data(), backprop.data(), nullptr});
    for (std::ptrdiff_t r = 0; r < kRows; ++r) {
      const auto want = log_softmax(x, r, columns);
      double expected = 0, total = 0;
      for (std::ptrdiff_t c = 0; c < columns; ++c) total += labels[r * columns + c];
      for (std::ptrdiff_t c = 0; c < columns; ++c) {
        expected -= labels[r * columns + c] * want[c];
        ASSERT_NEAR(backprop[r * columns + c], std::exp(want[c]) * total - labels[r * columns + c],
                    2e-6 * (1 + total));
      }
      ASSERT_NEAR(loss[r], expected, 2e-6 * (1 + std::abs(expected)));
    }
    ASSERT_TRUE(loss.guard_is_whole() && backprop.guard_is_whole());
  }
}

TEST_P(SimdSoftmaxTest, AClassWithoutProbabilityMayHaveALogitOfMinusInfinity) {
  const float inf = std::numeric_limits<float>::infinity();
  const float x[] = {-inf, 0, 0};
  const float labels[] = {0, 1, 0};
  float loss = 0;
  simd_.f32.cross_entropy({1, 3, x, labels, &loss, nullptr, nullptr});
  EXPECT_NEAR(loss, std::log(2.0), 1e-6);
}

TEST_P(SimdSoftmaxTest, NanMakesItsRowNanAndNoOther) {
  std::vector<float> x(20, 1.0f), y(20);
  x[3] = std::numeric_limits<float>::quiet_NaN();
  simd_.f32.softmax(x.data(), y.data(), 2, 10);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(std::isnan(y[i]));
  for (int i = 10; i < 20; ++i) EXPECT_NEAR(y[i], 0.1, 1e-6);
}

}  // namespace
}  // namespace cohort::cpu
