#include <cmath>

#include "tests/kernels/simd_support.h"

namespace cohort::cpu {
namespace {

class SimdUpdateTest : public SimdTest {};
INSTANTIATE_TEST_SUITE_P(Isas, SimdUpdateTest, ::testing::ValuesIn(available_isas()), isa_suffix);

template <class T>
void expect_adam(const Simd& simd, std::ptrdiff_t n, bool amsgrad, double tolerance) {
  Unaligned<T> p = random_values<T>(n, 1), m = random_values<T>(n, 2),
               v = random_values<T>(n, 3, 0, 1);
  Unaligned<T> v_max = random_values<T>(n, 4, 0, 1);
  const Unaligned<T> g = random_values<T>(n, 5);
  const auto p0 = p.copy(), m0 = m.copy(), v0 = v.copy(), max0 = v_max.copy();
  const AdamArgs<T> args{.parameter = p.data(),
                         .m = m.data(),
                         .v = v.data(),
                         .v_max = amsgrad ? v_max.data() : nullptr,
                         .gradient = g.data(),
                         .count = n,
                         .gradient_scale = T(0.5),
                         .alpha = T(0.01),
                         .one_minus_beta_1 = T(0.1),
                         .one_minus_beta_2 = T(0.001),
                         .epsilon = T(1e-7),
                         .decays = true,
                         .decay = T(0.004)};
  simd.of<T>().adam(args);
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const double grad = 0.5 * g[i];
    const double m1 = m0[i] + (grad - m0[i]) * double{args.one_minus_beta_1};
    const double v1 = v0[i] + (grad * grad - v0[i]) * double{args.one_minus_beta_2};
    const double second = amsgrad ? std::max(v1, double{max0[i]}) : v1;
    const double p1 = p0[i] * (1 - double{args.decay}) -
                      m1 * double{args.alpha} / (std::sqrt(second) + double{args.epsilon});
    ASSERT_NEAR(m[i], m1, tolerance);
    ASSERT_NEAR(v[i], v1, tolerance);
    ASSERT_NEAR(p[i], p1, tolerance * (1 + std::abs(p1 - p0[i])));
    ASSERT_NEAR(v_max[i], amsgrad ? second : max0[i], tolerance);
  }
  ASSERT_TRUE(p.guard_is_whole() && m.guard_is_whole() && v.guard_is_whole());
}

TEST_P(SimdUpdateTest, AdamFollowsItsDefinition) {
  for (std::ptrdiff_t n : kOddSizes)
    for (bool amsgrad : {false, true}) {
      expect_adam<float>(simd_, n, amsgrad, 3e-7);
      expect_adam<double>(simd_, n, amsgrad, 1e-15);
    }
}

TEST_P(SimdUpdateTest, AdamOfSlicesHasTheBitsOfTheWhole) {
  const std::ptrdiff_t n = 1000;
  Unaligned<float> p1 = random_values<float>(n, 1), m1 = random_values<float>(n, 2);
  Unaligned<float> v1 = random_values<float>(n, 3, 0, 1);
  const Unaligned<float> g = random_values<float>(n, 5);
  Unaligned<float> p2 = p1, m2 = m1, v2 = v1;
  AdamArgs<float> args{.parameter = p1.data(),
                       .m = m1.data(),
                       .v = v1.data(),
                       .gradient = g.data(),
                       .count = n,
                       .alpha = 0.01f,
                       .one_minus_beta_1 = 0.1f,
                       .one_minus_beta_2 = 0.001f,
                       .epsilon = 1e-7f,
                       .decays = true,
                       .decay = 0.01f};
  simd_.f32.adam(args);
  for (std::ptrdiff_t begin = 0; begin < n; begin += 37) {
    args.parameter = p2.data() + begin;
    args.m = m2.data() + begin;
    args.v = v2.data() + begin;
    args.gradient = g.data() + begin;
    args.count = std::min<std::ptrdiff_t>(37, n - begin);
    simd_.f32.adam(args);
  }
  EXPECT_EQ(p1.copy(), p2.copy());
  EXPECT_EQ(m1.copy(), m2.copy());
  EXPECT_EQ(v1.copy(), v2.copy());
}

template <class T>
void expect_sgd(const Simd& simd, std::ptrdiff_t n, bool momentum, bool nesterov,
                double tolerance) {
  Unaligned<T> p = random_values<T>(n, 1), w = random_values<T>(n, 2);
  const Unaligned<T> g = random_values<T>(n, 5);
  const auto p0 = p.copy(), w0 = w.copy();
  simd.of<T>().sgd({.parameter = p.data(),
                    .velocity = momentum ? w.data() : nullptr,
                    .gradient = g.data(),
                    .count = n,
                    .gradient_scale = T(0.25),
                    .learning_rate = T(0.5),
                    .momentum = T(0.75),
                    .nesterov = nesterov,
                    .decays = true,
                    .decay = T(0.125)});
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const double step = 0.25 * g[i] * 0.5;
    const double w1 = momentum ? w0[i] * 0.75 - step : double{w0[i]};
    const double change = !momentum ? -step : nesterov ? w1 * 0.75 - step : w1;
    ASSERT_NEAR(w[i], w1, tolerance);
    ASSERT_NEAR(p[i], p0[i] * 0.875 + change, tolerance);
  }
  ASSERT_TRUE(p.guard_is_whole() && w.guard_is_whole());
}

TEST_P(SimdUpdateTest, SgdFollowsItsDefinition) {
  for (std::ptrdiff_t n : kOddSizes)
    for (int kind = 0; kind < 3; ++kind) {
      expect_sgd<float>(simd_, n, kind > 0, kind > 1, 3e-7);
      expect_sgd<double>(simd_, n, kind > 0, kind > 1, 1e-15);
    }
}

}  // namespace
}  // namespace cohort::cpu
