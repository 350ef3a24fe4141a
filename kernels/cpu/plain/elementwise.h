#pragma once

#include "cohort/kernels/cpu/broadcast.h"
#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/plain/types.h"

namespace cohort::cpu::plain {

// The kernels are classes without types: what differs by op and dtype is a loop, a function.

/// n elements of y = fn(x).
using UnaryLoop = void (*)(const void* x, void* y, int64_t n);
/// n elements of y = fn(a, b); from one to the next a steps by a_step elements, b by b_step.
using BinaryLoop = void (*)(const void* a, int64_t a_step, const void* b, int64_t b_step, void* y,
                            int64_t n);

/// T: type of x, U: type of y.
template <class Fn, class T, class U = T>
void unary_loop(const void* x, void* y, int64_t n) {
  const T* from = static_cast<const T*>(x);
  U* to = static_cast<U*>(y);
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<U>(Fn{}(static_cast<Compute<T>>(from[i])));
}

/// T: type of a and b, U: type of y.
template <class Fn, class T, class U = T>
void binary_loop(const void* a, int64_t a_step, const void* b, int64_t b_step, void* y, int64_t n) {
  const T* left = static_cast<const T*>(a);
  const T* right = static_cast<const T*>(b);
  U* to = static_cast<U*>(y);
  for (int64_t i = 0; i < n; ++i)
    to[i] = static_cast<U>(Fn{}(static_cast<Compute<T>>(left[i * a_step]),
                                static_cast<Compute<T>>(right[i * b_step])));
}

/// y[i] = fn(x[i]).
class UnaryKernel final : public CpuKernel {
 public:
  UnaryKernel(const KernelRequest& request, UnaryLoop loop);
  void run() override;
  bool can_share(int, int) const override { return x_bytes_ == y_bytes_; }

 private:
  UnaryLoop loop_;
  int64_t x_bytes_, y_bytes_;  ///< of an element
};

/// y = fn(a, b) with broadcasting.
class BinaryKernel : public CpuKernel {
 public:
  BinaryKernel(const KernelRequest& request, BinaryLoop loop);
  void run() override;
  bool can_share(int, int input) const override {
    return in_bytes_ == out_bytes_ && in(input).num_elements() == out(0).num_elements();
  }

 private:
  BroadcastPlan plan_;
  BinaryLoop loop_;
  int64_t in_bytes_, out_bytes_;  ///< of an element
};

}  // namespace cohort::cpu::plain
