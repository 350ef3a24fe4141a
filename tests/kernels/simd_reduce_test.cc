#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/kernels/simd_support.h"

namespace cohort::cpu {
namespace {

class SimdReduceTest : public SimdTest {};
INSTANTIATE_TEST_SUITE_P(Isas, SimdReduceTest, ::testing::ValuesIn(available_isas()), isa_suffix);

const float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

TEST_P(SimdReduceTest, RowReductionsAgreeWithTheDefinition) {
  for (std::ptrdiff_t columns : kOddSizes) {
    const std::ptrdiff_t ld = columns + 3;
    const Unaligned<float> x = random_values<float>(3 * ld, 1);
    Unaligned<float> sums(3), highest(3), lowest(3);
    simd_.f32.sum_rows(x.data(), ld, sums.data(), 3, columns);
    simd_.f32.max_rows(x.data(), ld, highest.data(), 3, columns);
    simd_.f32.min_rows(x.data(), ld, lowest.data(), 3, columns);
    for (std::ptrdiff_t r = 0; r < 3; ++r) {
      const float* row = x.data() + r * ld;
      double sum = 0;
      float high = -kInf, low = kInf;
      for (std::ptrdiff_t c = 0; c < columns; ++c) {
        sum += row[c];
        high = std::max(high, row[c]);
        low = std::min(low, row[c]);
      }
      ASSERT_NEAR(sums[r], sum, 1e-5);
      ASSERT_EQ(highest[r], high);
      ASSERT_EQ(lowest[r], low);
      if (columns == 0) continue;
      std::int64_t arg = -1;
      simd_.f32.argmax_rows(row, ld, &arg, 1, columns);
      ASSERT_EQ(arg, std::max_element(row, row + columns) - row);
    }
    ASSERT_TRUE(sums.guard_is_whole() && highest.guard_is_whole());
  }
}

TEST_P(SimdReduceTest, NanWinsWhereverItStands) {
  for (std::ptrdiff_t columns : {1, 2, 5, 16, 17, 64, 65, 200})
    for (std::ptrdiff_t at = 0; at < columns; ++at) {
      std::vector<float> x(columns, 1.0f);
      x[at] = kNan;
      if (at + 1 < columns) x[at + 1] = kNan;
      float high = 0, low = 0;
      std::int64_t arg = -1;
      simd_.f32.max_rows(x.data(), columns, &high, 1, columns);
      simd_.f32.min_rows(x.data(), columns, &low, 1, columns);
      simd_.f32.argmax_rows(x.data(), columns, &arg, 1, columns);
      ASSERT_TRUE(std::isnan(high) && std::isnan(low));
      ASSERT_EQ(arg, at);
    }
}

TEST_P(SimdReduceTest, ArgmaxTakesTheFirstOfEqualsAndOfMinusInfinities) {
  for (std::ptrdiff_t columns : {2, 16, 40}) {
    std::vector<float> x(columns, -kInf);
    std::int64_t arg = -1;
    simd_.f32.argmax_rows(x.data(), columns, &arg, 1, columns);
    EXPECT_EQ(arg, 0);
    x[columns / 2] = x[columns - 1] = 3;
    simd_.f32.argmax_rows(x.data(), columns, &arg, 1, columns);
    EXPECT_EQ(arg, columns / 2);
  }
}

template <class T>
void expect_column_sums(const Simd& simd, std::ptrdiff_t rows, std::ptrdiff_t columns,
                        bool accumulate) {
  const std::ptrdiff_t ld = columns + 2;
  const Unaligned<T> x = random_values<T>(rows * ld, 1);
  Unaligned<T> y(columns, T(2));
  simd.of<T>().sum_columns(x.data(), ld, y.data(), rows, columns, accumulate);
  for (std::ptrdiff_t c = 0; c < columns; ++c) {
    double sum = accumulate ? 2 : 0;
    for (std::ptrdiff_t r = 0; r < rows; ++r) sum += x[r * ld + c];
    ASSERT_NEAR(y[c], sum, (sizeof(T) == 4 ? 1e-6 : 1e-14) * (4 + std::sqrt(double(rows)) * 2));
    T alone = T(2);
    simd.of<T>().sum_columns(x.data() + c, ld, &alone, rows, 1, accumulate);
    ASSERT_EQ(y[c], alone) << "depends on its neighbours";
  }
  ASSERT_TRUE(y.guard_is_whole());
}

TEST_P(SimdReduceTest, ColumnSumsAgreeWithTheDefinition) {
  for (std::ptrdiff_t columns : {0, 1, 3, 10, 16, 32, 65, 128, 130})
    for (std::ptrdiff_t rows : {0, 1, 2, 255, 256, 257, 1000})
      for (bool accumulate : {false, true}) {
        expect_column_sums<float>(simd_, rows, columns, accumulate);
        expect_column_sums<double>(simd_, rows, columns, accumulate);
      }
}

TEST_P(SimdReduceTest, ColumnExtremesAgreeWithTheDefinition) {
  for (std::ptrdiff_t columns : {1, 3, 16, 21})
    for (std::ptrdiff_t rows : {0, 1, 5}) {
      Unaligned<float> x = random_values<float>(rows * columns, 1);
      if (rows == 5) x[2 * columns] = kNan;
      Unaligned<float> high(columns), low(columns);
      simd_.f32.max_columns(x.data(), columns, high.data(), rows, columns);
      simd_.f32.min_columns(x.data(), columns, low.data(), rows, columns);
      for (std::ptrdiff_t c = 0; c < columns; ++c) {
        float want_high = -kInf, want_low = kInf;
        for (std::ptrdiff_t r = 0; r < rows; ++r) {
          want_high = std::max(want_high, x[r * columns + c]);
          want_low = std::min(want_low, x[r * columns + c]);
        }
        if (rows == 5 && c == 0) {
          ASSERT_TRUE(std::isnan(high[c]) && std::isnan(low[c]));
        } else {
          ASSERT_EQ(high[c], want_high);
          ASSERT_EQ(low[c], want_low);
        }
      }
      ASSERT_TRUE(high.guard_is_whole() && low.guard_is_whole());
    }
}

TEST_P(SimdReduceTest, SumsOfSlicesAndFiniteness) {
  for (std::ptrdiff_t n : {0, 1, 5, 16, 100, 1023, 1024, 1025, 5000}) {
    Unaligned<float> x = random_values<float>(n, 1);
    double sum = 0, squares = 0;
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      sum += x[i];
      squares += double{x[i]} * x[i];
    }
    EXPECT_NEAR(simd_.f32.sum(x.data(), n), sum, 1e-4);
    EXPECT_NEAR(simd_.f32.sum_of_squares(x.data(), n), squares, 1e-6 * squares);
    EXPECT_TRUE(simd_.f32.all_finite(x.data(), n));
    for (std::ptrdiff_t i = 0; i < n; i += 1 + n / 37)
      for (float bad : {kNan, kInf, -kInf}) {
        const float kept = x[i];
        x[i] = bad;
        EXPECT_FALSE(simd_.f32.all_finite(x.data(), n)) << i << " of " << n;
        x[i] = kept;
      }
  }
}

}  // namespace
}  // namespace cohort::cpu
