// Compiled once for each instruction set; see cmake/CohortSimd.cmake for what may stand here.

#include "distribute/sum_loops.h"

#include <cstring>

namespace cohort::distribute::COHORT_SIMD_NAMESPACE {
namespace {

/// One cache line of elements. The compiler splits it into what the instruction set has.
template <class T>
struct Line {
  static constexpr int64_t kElements = 64 / static_cast<int64_t>(sizeof(T));
  typedef T Vector __attribute__((vector_size(64)));
  Vector v;

  static Line load(const T* from) {
    Line line;
    std::memcpy(&line.v, from, sizeof line.v);
    return line;
  }
  void store(T* to) const { std::memcpy(to, &v, sizeof v); }
};

template <class T>
void sum_pair(T* out, const T* a, const T* b, int64_t n) {
  int64_t i = 0;
  for (; i + Line<T>::kElements <= n; i += Line<T>::kElements) {
    Line<T> x = Line<T>::load(a + i);
    x.v += Line<T>::load(b + i).v;
    x.store(out + i);
  }
  for (; i < n; ++i) out[i] = a[i] + b[i];
}

template <class T>
void sum_four(T* out, const T* a, const T* b, const T* c, const T* d, int64_t n) {
  int64_t i = 0;
  for (; i + Line<T>::kElements <= n; i += Line<T>::kElements) {
    Line<T> x = Line<T>::load(a + i), y = Line<T>::load(c + i);
    x.v += Line<T>::load(b + i).v;
    y.v += Line<T>::load(d + i).v;
    x.v += y.v;
    x.store(out + i);
  }
  for (; i < n; ++i) out[i] = (a[i] + b[i]) + (c[i] + d[i]);
}

template <class T>
void sum_pair_in_place(T* a, T* b, int64_t n) {
  int64_t i = 0;
  for (; i + Line<T>::kElements <= n; i += Line<T>::kElements) {
    Line<T> x = Line<T>::load(a + i);
    x.v += Line<T>::load(b + i).v;
    x.store(a + i);
    x.store(b + i);
  }
  for (; i < n; ++i) a[i] = b[i] = a[i] + b[i];
}

template <class T>
void sum_four_in_place(T* a, T* b, T* c, T* d, int64_t n) {
  int64_t i = 0;
  for (; i + Line<T>::kElements <= n; i += Line<T>::kElements) {
    Line<T> x = Line<T>::load(a + i), y = Line<T>::load(c + i);
    x.v += Line<T>::load(b + i).v;
    y.v += Line<T>::load(d + i).v;
    x.v += y.v;
    x.store(a + i);
    x.store(b + i);
    x.store(c + i);
    x.store(d + i);
  }
  for (; i < n; ++i) a[i] = b[i] = c[i] = d[i] = (a[i] + b[i]) + (c[i] + d[i]);
}

template <class T>
SumLoops<T> loops() {
  return {sum_pair<T>, sum_four<T>, sum_pair_in_place<T>, sum_four_in_place<T>};
}

}  // namespace

void fill_sums(SumTable& table) {
  table = {loops<float>(), loops<double>(), loops<int32_t>(), loops<int64_t>()};
}

}  // namespace cohort::distribute::COHORT_SIMD_NAMESPACE
