#include "distribute/transport/sum_loops.h"

#include <cstring>

namespace cohort::distribute {
namespace {

/// One cache line of elements. The compiler splits it into what the processor has.
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

}  // namespace

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

template void sum_pair(float*, const float*, const float*, int64_t);
template void sum_pair(double*, const double*, const double*, int64_t);
template void sum_pair(int32_t*, const int32_t*, const int32_t*, int64_t);
template void sum_pair(int64_t*, const int64_t*, const int64_t*, int64_t);
template void sum_four(float*, const float*, const float*, const float*, const float*, int64_t);
template void sum_four(double*, const double*, const double*, const double*, const double*,
                       int64_t);
template void sum_four(int32_t*, const int32_t*, const int32_t*, const int32_t*, const int32_t*,
                       int64_t);
template void sum_four(int64_t*, const int64_t*, const int64_t*, const int64_t*, const int64_t*,
                       int64_t);
template void sum_pair_in_place(float*, float*, int64_t);
template void sum_pair_in_place(double*, double*, int64_t);
template void sum_pair_in_place(int32_t*, int32_t*, int64_t);
template void sum_pair_in_place(int64_t*, int64_t*, int64_t);
template void sum_four_in_place(float*, float*, float*, float*, int64_t);
template void sum_four_in_place(double*, double*, double*, double*, int64_t);
template void sum_four_in_place(int32_t*, int32_t*, int32_t*, int32_t*, int64_t);
template void sum_four_in_place(int64_t*, int64_t*, int64_t*, int64_t*, int64_t);

}  // namespace cohort::distribute
