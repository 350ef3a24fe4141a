#include <cmath>
#include <limits>

#include "tests/kernels/simd_support.h"

namespace cohort::cpu {
namespace {

class SimdPoolTest : public SimdTest {};
INSTANTIATE_TEST_SUITE_P(Isas, SimdPoolTest, ::testing::ValuesIn(available_isas()), isa_suffix);

PoolShape valid_shape(std::ptrdiff_t h, std::ptrdiff_t w, std::ptrdiff_t c, std::ptrdiff_t window,
                      std::ptrdiff_t stride) {
  return {.batch = 2,
          .height = h,
          .width = w,
          .channels = c,
          .out_height = (h - window) / stride + 1,
          .out_width = (w - window) / stride + 1,
          .window_height = window,
          .window_width = window,
          .stride_height = stride,
          .stride_width = stride};
}

std::vector<PoolShape> pool_shapes() {
  std::vector<PoolShape> all;
  for (std::ptrdiff_t c : {1, 3, 8, 16, 17, 32, 40}) {
    all.push_back(valid_shape(6, 8, c, 2, 2));
    all.push_back(valid_shape(7, 5, c, 2, 2));  // a row and a column in no window
    all.push_back(valid_shape(7, 7, c, 3, 2));  // overlapping
    all.push_back(valid_shape(7, 7, c, 2, 3));  // gaps
    all.push_back(valid_shape(5, 5, c, 5, 1));  // the whole image
    // SAME padding: 5 x 7 by windows of 3 x 2, strides 2 and 2.
    all.push_back({.batch = 2,
                   .height = 5,
                   .width = 7,
                   .channels = c,
                   .out_height = 3,
                   .out_width = 4,
                   .window_height = 3,
                   .window_width = 2,
                   .stride_height = 2,
                   .stride_width = 2,
                   .pad_top = 1,
                   .pad_left = 0});
    all.push_back({.batch = 1,
                   .height = 4,
                   .width = 4,
                   .channels = c,
                   .out_height = 4,
                   .out_width = 4,
                   .window_height = 3,
                   .window_width = 3,
                   .stride_height = 1,
                   .stride_width = 1,
                   .pad_top = 1,
                   .pad_left = 1});
  }
  all.push_back(
      {.batch = 0, .height = 4, .width = 4, .channels = 3, .out_height = 2, .out_width = 2});
  return all;
}

/// visit(output element, position in the window, input element) for every cell of every window.
template <class Visit>
void for_each_cell(const PoolShape& s, Visit visit) {
  for (std::ptrdiff_t n = 0; n < s.batch; ++n)
    for (std::ptrdiff_t oh = 0; oh < s.out_height; ++oh)
      for (std::ptrdiff_t ow = 0; ow < s.out_width; ++ow)
        for (std::ptrdiff_t c = 0; c < s.channels; ++c)
          for (std::ptrdiff_t i = 0; i < s.window_height; ++i)
            for (std::ptrdiff_t j = 0; j < s.window_width; ++j) {
              const std::ptrdiff_t h = oh * s.stride_height - s.pad_top + i;
              const std::ptrdiff_t w = ow * s.stride_width - s.pad_left + j;
              if (h < 0 || h >= s.height || w < 0 || w >= s.width) continue;
              visit(((n * s.out_height + oh) * s.out_width + ow) * s.channels + c,
                    i * s.window_width + j, ((n * s.height + h) * s.width + w) * s.channels + c);
            }
}

std::ptrdiff_t in_size(const PoolShape& s) { return s.batch * s.height * s.width * s.channels; }
std::ptrdiff_t out_size(const PoolShape& s) {
  return s.batch * s.out_height * s.out_width * s.channels;
}

template <class T>
void expect_max_pool(const Simd& simd, const PoolShape& s, bool relu) {
  const Unaligned<T> x = random_values<T>(in_size(s), 1);
  const Unaligned<T> dy = random_values<T>(out_size(s), 2);
  Unaligned<T> y(out_size(s)), dx(in_size(s), T(5));
  Unaligned<std::uint8_t> where(out_size(s));
  simd.of<T>().max_pool(s, x.data(), y.data(), where.data(), relu);
  simd.of<T>().max_pool_grad(s, dy.data(), where.data(), dx.data());

  std::vector<T> best(out_size(s), -std::numeric_limits<T>::infinity());
  std::vector<std::ptrdiff_t> cell(out_size(s), -1), position(out_size(s), -1);
  for_each_cell(s, [&](std::ptrdiff_t out, std::ptrdiff_t at, std::ptrdiff_t in) {
    if (!(x[in] > best[out])) return;
    best[out] = x[in];
    cell[out] = in;
    position[out] = at;
  });
  std::vector<double> want_dx(in_size(s));
  for (std::ptrdiff_t i = 0; i < out_size(s); ++i) {
    const bool dead = relu && best[i] <= 0;
    ASSERT_EQ(y[i], dead ? T(0) : best[i]);
    ASSERT_EQ(where[i], dead ? kNoCell : position[i]);
    if (!dead) want_dx[cell[i]] += dy[i];
  }
  for (std::ptrdiff_t i = 0; i < in_size(s); ++i) ASSERT_NEAR(dx[i], want_dx[i], 1e-6);
  ASSERT_TRUE(y.guard_is_whole() && dx.guard_is_whole() && where.guard_is_whole());
}

TEST_P(SimdPoolTest, MaxAndItsGradientAgreeWithTheDefinition) {
  for (const PoolShape& s : pool_shapes())
    for (bool relu : {false, true}) {
      expect_max_pool<float>(simd_, s, relu);
      expect_max_pool<double>(simd_, s, relu);
    }
}

TEST_P(SimdPoolTest, MaxTakesTheFirstOfEqualsAndPassesNan) {
  const PoolShape s = valid_shape(2, 2, 1, 2, 2);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const auto pool = [&](std::vector<float> x) {
    x.resize(8);
    std::vector<float> y(2);
    std::vector<std::uint8_t> where(2);
    simd_.f32.max_pool(s, x.data(), y.data(), where.data(), false);
    return std::pair(y[0], where[0]);
  };
  EXPECT_EQ(pool({1, 3, 3, 2}), std::pair(3.0f, std::uint8_t{1}));
  EXPECT_EQ(pool({-inf, -inf, -inf, -inf}), std::pair(-inf, std::uint8_t{0}));
  EXPECT_TRUE(std::isnan(pool({1, nan, 3, 2}).first));
  EXPECT_TRUE(std::isnan(pool({nan, 1, 3, 2}).first));
}

template <class T>
void expect_average_pool(const Simd& simd, const PoolShape& s) {
  const Unaligned<T> x = random_values<T>(in_size(s), 1);
  const Unaligned<T> dy = random_values<T>(out_size(s), 2);
  Unaligned<T> y(out_size(s)), dx(in_size(s), T(5));
  simd.of<T>().average_pool(s, x.data(), y.data());
  simd.of<T>().average_pool_grad(s, dy.data(), dx.data());
  std::vector<double> sum(out_size(s)), cells(out_size(s)), want_dx(in_size(s));
  for_each_cell(s, [&](std::ptrdiff_t out, std::ptrdiff_t, std::ptrdiff_t in) {
    sum[out] += x[in];
    cells[out] += 1;
  });
  for_each_cell(s, [&](std::ptrdiff_t out, std::ptrdiff_t, std::ptrdiff_t in) {
    want_dx[in] += dy[out] / cells[out];
  });
  for (std::ptrdiff_t i = 0; i < out_size(s); ++i) ASSERT_NEAR(y[i], sum[i] / cells[i], 1e-6);
  for (std::ptrdiff_t i = 0; i < in_size(s); ++i) ASSERT_NEAR(dx[i], want_dx[i], 2e-6);
  ASSERT_TRUE(y.guard_is_whole() && dx.guard_is_whole());
}

TEST_P(SimdPoolTest, AverageAndItsGradientAgreeWithTheDefinition) {
  for (const PoolShape& s : pool_shapes()) {
    expect_average_pool<float>(simd_, s);
    expect_average_pool<double>(simd_, s);
  }
}

}  // namespace
}  // namespace cohort::cpu
