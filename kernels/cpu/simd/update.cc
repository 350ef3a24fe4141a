#include "cohort/kernels/cpu/simd/update.h"

#include "cohort/kernels/cpu/simd/table.h"
#include "cohort/kernels/cpu/simd/vec.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

// Without decay nothing is done: p - 0 p would make 0 of -0.
template <class T, class Args>
[[gnu::always_inline]] inline Vec<T> decayed(Vec<T> p, const Args& s) {
  return s.decays ? p - p * s.decay : p;
}

template <class T, bool with_v_max>
void adam_slice(const AdamArgs<T>& s) {
  for_vectors<T>(s.count, [&](Index i, auto lanes) {
    const Vec<T> g = load(s.gradient + i, lanes) * s.gradient_scale;
    const Vec<T> p = load(s.parameter + i, lanes);
    const Vec<T> m0 = load(s.m + i, lanes);
    const Vec<T> v0 = load(s.v + i, lanes);
    const Vec<T> m = fma(g - m0, broadcast(s.one_minus_beta_1), m0);
    const Vec<T> v = fma(g * g - v0, broadcast(s.one_minus_beta_2), v0);
    store(s.m + i, m, lanes);
    store(s.v + i, v, lanes);
    Vec<T> second = v;
    if constexpr (with_v_max) {
      const Vec<T> old = load(s.v_max + i, lanes);
      second = (old != old) | (old >= v) ? old : v;
      store(s.v_max + i, second, lanes);
    }
    store(s.parameter + i, decayed<T>(p, s) - m * s.alpha / (sqrt(second) + s.epsilon), lanes);
  });
}

template <class T>
void adam(const AdamArgs<T>& args) {
  args.v_max ? adam_slice<T, true>(args) : adam_slice<T, false>(args);
}

template <class T>
void sgd(const SgdArgs<T>& s) {
  const T* gradient = s.gradient;
  if (!s.velocity) {
    for_vectors<T>(s.count, [&](Index i, auto lanes) {
      const Vec<T> g = load(gradient + i, lanes) * s.gradient_scale;
      const Vec<T> p = load(s.parameter + i, lanes);
      store(s.parameter + i, decayed<T>(p, s) - g * s.learning_rate, lanes);
    });
    return;
  }
  for_vectors<T>(s.count, [&](Index i, auto lanes) {
    const Vec<T> step = load(gradient + i, lanes) * s.gradient_scale * s.learning_rate;
    const Vec<T> p = load(s.parameter + i, lanes);
    const Vec<T> w = load(s.velocity + i, lanes) * s.momentum - step;
    store(s.velocity + i, w, lanes);
    store(s.parameter + i, decayed<T>(p, s) + (s.nesterov ? w * s.momentum - step : w), lanes);
  });
}

template <class T>
void add(UpdateRoutines<T>& routines) {
  routines.adam = adam<T>;
  routines.sgd = sgd<T>;
}

}  // namespace

void add_update(Simd& table) {
  add<float>(table.f32);
  add<double>(table.f64);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
