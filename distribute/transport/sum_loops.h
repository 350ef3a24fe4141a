#pragma once

#include <cstdint>

namespace cohort::distribute {

// Sums of n elements of T (float, double, int32_t, int64_t), for the numbers of ranks that are
// worth a loop of their own. Pointers need no alignment; buffers are equal or apart.

/// out = a + b
template <class T>
void sum_pair(T* out, const T* a, const T* b, int64_t n);
/// out = (a + b) + (c + d)
template <class T>
void sum_four(T* out, const T* a, const T* b, const T* c, const T* d, int64_t n);
/// a = b = a + b
template <class T>
void sum_pair_in_place(T* a, T* b, int64_t n);
/// a = b = c = d = (a + b) + (c + d)
template <class T>
void sum_four_in_place(T* a, T* b, T* c, T* d, int64_t n);

}  // namespace cohort::distribute
