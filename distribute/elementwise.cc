#include "cohort/distribute/elementwise.h"

#include <algorithm>

namespace cohort::distribute {
namespace {

constexpr int64_t kElementBlock =
    64;  // a fixed inner count lets the compiler use its widest vectors

template <class T, class Op>
void apply(T* to, const T* a, const T* b, int64_t count, Op op) {
  int64_t i = 0;
  for (; i + kElementBlock <= count; i += kElementBlock)
    for (int64_t j = 0; j < kElementBlock; ++j) to[i + j] = op(a[i + j], b[i + j]);
  for (; i < count; ++i) to[i] = op(a[i], b[i]);
}

template <class T>
void apply(T* to, const T* x, const T* y, int64_t count, ops::ReduceOp op) {
  using Wide = std::conditional_t<sizeof(T) == 2, float, T>;
  switch (op) {
    case ops::ReduceOp::kSum:
    case ops::ReduceOp::kMean:
      return apply(to, x, y, count, [](T a, T b) {
        return static_cast<T>(static_cast<Wide>(a) + static_cast<Wide>(b));
      });
    case ops::ReduceOp::kMax:
      return apply(to, x, y, count,
                   [](T a, T b) { return static_cast<Wide>(a) < static_cast<Wide>(b) ? b : a; });
    case ops::ReduceOp::kMin:
      return apply(to, x, y, count,
                   [](T a, T b) { return static_cast<Wide>(b) < static_cast<Wide>(a) ? b : a; });
  }
}

}  // namespace

void reduce_into(void* to, const void* from, int64_t num_elements, DType dtype, ops::ReduceOp op) {
  reduce_pair(to, to, from, num_elements, dtype, op);
}

void reduce_pair(void* to, const void* a, const void* b, int64_t num_elements, DType dtype,
                 ops::ReduceOp op) {
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_same_v<T, bool>) {
      throw InvalidArgument("reduce: got dtype bool; want numbers");
    } else {
      apply(static_cast<T*>(to), static_cast<const T*>(a), static_cast<const T*>(b), num_elements,
            op);
    }
  });
}

void divide_by(void* values, int64_t num_elements, DType dtype, int64_t divisor) {
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_same_v<T, bool>) {
      throw InvalidArgument("reduce: got dtype bool; want numbers");
    } else {
      using Wide =
          std::conditional_t<sizeof(T) == 2, float, std::conditional_t<sizeof(T) == 1, int64_t, T>>;
      T* to = static_cast<T*>(values);
      for (int64_t i = 0; i < num_elements; ++i)
        to[i] = static_cast<T>(static_cast<Wide>(to[i]) / static_cast<Wide>(divisor));
    }
  });
}

}  // namespace cohort::distribute
