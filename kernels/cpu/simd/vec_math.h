// Elementary functions on vectors. Single precision: about 2 ulp, right at infinities, NaN in NaN
// out. Double precision calls libm lane by lane.
//
// exp, log and tanh use the reductions and polynomials of Cephes (S. L. Moshier, expf.c, logf.c,
// tanhf.c).
#pragma once

#include "cohort/kernels/cpu/simd/vec.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {

template <class T, class... More>
inline Vec<T> polynomial(Vec<T> x, T highest, More... lower) {
  Vec<T> y = broadcast(highest);
  ((y = fma(y, x, broadcast(static_cast<T>(lower)))), ...);
  return y;
}

inline VecF32 abs(VecF32 x) { return (VecF32)((VecI32)x & 0x7fffffff); }
inline VecF64 abs(VecF64 x) { return (VecF64)((VecI64)x & 0x7fffffffffffffff); }
inline VecF32 copy_sign(VecF32 magnitude, VecF32 sign) {
  return (VecF32)(((VecI32)magnitude & 0x7fffffff) | ((VecI32)sign & INT32_MIN));
}

/// 2^n for -126 <= n <= 127.
inline VecF32 power_of_two(VecI32 n) { return (VecF32)((n + 127) << 23); }

struct ExpReduction {
  VecI32 n;  // e^x = 2^n e^r
  VecF32 e_r_less_1;
};

inline ExpReduction reduce_exp(VecF32 x) {
  const VecI32 n = round_to_int(x * 1.44269504088896341f);
  const VecF32 nf = __builtin_convertvector(n, VecF32);
  VecF32 r = fma(nf, broadcast(-0.693359375f), x);
  r = fma(nf, broadcast(2.12194440e-4f), r);
  const VecF32 p = polynomial(r, 1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                              4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f);
  return {n, fma(p, r * r, r)};
}

inline VecF32 exp(VecF32 x) {
  x = max(broadcast(-104.0f), min(broadcast(89.0f), x));
  const ExpReduction e = reduce_exp(x);
  // 2^n in two factors: n reaches -150 (denormals) and 128.
  const VecI32 half = e.n >> 1;
  return (e.e_r_less_1 + 1.0f) * power_of_two(half) * power_of_two(e.n - half);
}

inline VecF32 expm1(VecF32 x) {
  const ExpReduction e = reduce_exp(max(broadcast(-40.0f), min(broadcast(88.0f), x)));
  const VecF32 scale = power_of_two(e.n);
  const VecF32 y = fma(scale, e.e_r_less_1, scale - 1.0f);
  return x > 88.0f ? exp(x) : y;
}

inline VecF32 log(VecF32 x) {
  const VecI32 tiny = x < 1.17549435e-38f;
  const VecF32 scaled = tiny ? x * 8388608.0f : x;
  const VecI32 bits = (VecI32)scaled;
  VecI32 n =
      (bits - 0x3f3504f3) >> 23;  // 0x3f3504f3: sqrt(1/2), so the significand is in [0.707, 1.414)
  const VecF32 m = (VecF32)(bits - (n << 23)) - 1.0f;
  n = n - (tiny & 23);
  const VecF32 nf = __builtin_convertvector(n, VecF32);
  const VecF32 m2 = m * m;
  VecF32 y = polynomial(m, 7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f,
                        1.4249322787e-1f, -1.6668057665e-1f, 2.0000714765e-1f, -2.4999993993e-1f,
                        3.3333331174e-1f) *
             m * m2;
  y = fma(nf, broadcast(-2.12194440e-4f), y);
  y = fma(m2, broadcast(-0.5f), y);
  y = fma(nf, broadcast(0.693359375f), m + y);
  const float infinity = __builtin_inff();
  y = x == infinity ? x : y;
  y = x == 0.0f ? broadcast(-infinity) : y;
  return (x < 0.0f) | (x != x) ? broadcast(__builtin_nanf("")) : y;
}

/// For x >= 0: what 1 + x loses in rounding is put back to first order.
inline VecF32 log1p_positive(VecF32 x) {
  const VecF32 u = x + 1.0f;
  return log(u) + (x - (u - 1.0f)) / u;
}

inline VecF32 sigmoid(VecF32 x) { return 1.0f / (exp(-x) + 1.0f); }

inline VecF32 tanh(VecF32 x) {
  const VecF32 a = abs(x);
  const VecF32 z = x * x;
  const VecF32 small = fma(polynomial(z, -5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f,
                                      1.33314422036e-1f, -3.33332819422e-1f) *
                               z,
                           x, x);
  const VecF32 large = copy_sign(1.0f - 2.0f / (exp(a + a) + 1.0f), x);
  return a > 0.625f ? large : small;  // NaN takes the polynomial
}

/// After N. Juffa: a polynomial near zero, 1 - e^q(|x|) beyond.
inline VecF32 erf(VecF32 x) {
  const VecF32 a = abs(x);
  const VecF32 z = x * x;
  const VecF32 q = polynomial(a, -1.72853470e-5f, 3.83197126e-4f, -3.88396438e-3f, 2.42546219e-2f,
                              -1.06777877e-1f, -6.34846687e-1f, -1.28717512e-1f);
  const VecF32 large = copy_sign(1.0f - exp(fma(q, a, -a)), x);
  const VecF32 p = polynomial(z, -5.96761703e-4f, 4.99119423e-3f, -2.67681349e-2f, 1.12819925e-1f,
                              -3.76125336e-1f, 1.28379166e-1f);
  return a > 0.927734375f ? large : fma(p, x, x);
}

template <class Function>
inline VecF64 each_lane(VecF64 x, Function f) {
  for (Index i = 0; i < kLanes<double>; ++i) x[i] = f(x[i]);
  return x;
}

inline VecF64 exp(VecF64 x) {
  return each_lane(x, [](double v) { return __builtin_exp(v); });
}
inline VecF64 expm1(VecF64 x) {
  return each_lane(x, [](double v) { return __builtin_expm1(v); });
}
inline VecF64 log(VecF64 x) {
  return each_lane(x, [](double v) { return __builtin_log(v); });
}
inline VecF64 log1p_positive(VecF64 x) {
  return each_lane(x, [](double v) { return __builtin_log1p(v); });
}
inline VecF64 tanh(VecF64 x) {
  return each_lane(x, [](double v) { return __builtin_tanh(v); });
}
inline VecF64 erf(VecF64 x) {
  return each_lane(x, [](double v) { return __builtin_erf(v); });
}
inline VecF64 sigmoid(VecF64 x) { return 1.0 / (exp(-x) + 1.0); }

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
