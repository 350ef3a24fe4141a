#pragma once

#include "cohort/kernels/cpu/broadcast.h"
#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/types.h"

namespace cohort::cpu::plain {

/// y[i] = Fn(x[i]).  T: type of x, U: type of y.
template <class Fn, class T, class U>
class UnaryKernel final : public CpuKernel {
 public:
  explicit UnaryKernel(const KernelRequest& request) : CpuKernel(request) {}

  void run() override {
    const T* x = in(0).template data<T>();
    U* y = out(0).template data<U>();
    parallel_for(threads(), out(0).num_elements(), grain_for(4, sizeof(T) + sizeof(U)),
                 [=](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                     y[i] = static_cast<U>(Fn{}(static_cast<Compute<T>>(x[i])));
                 });
  }

  bool can_share(int, int) const override { return sizeof(T) == sizeof(U); }
};

/// y = Fn(a, b) with broadcasting.
template <class Fn, class T, class U>
class BinaryKernel : public CpuKernel {
 public:
  explicit BinaryKernel(const KernelRequest& request)
      : CpuKernel(request),
        plan_(request.outputs[0].shape,
              std::array{request.inputs[0].shape, request.inputs[1].shape}) {}

  void run() override {
    const T* a = in(0).template data<T>();
    const T* b = in(1).template data<T>();
    U* y = out(0).template data<U>();
    const int64_t sa = plan_.inner_stride(0), sb = plan_.inner_stride(1);
    parallel_for(threads(), plan_.num_elements(), grain_for(4, 2 * sizeof(T) + sizeof(U)),
                 [=, this](int64_t begin, int64_t end) {
                   plan_.for_each_run(begin, end, [=](int64_t at, const auto& from, int64_t n) {
                     for (int64_t i = 0; i < n; ++i)
                       y[at + i] =
                           static_cast<U>(Fn{}(static_cast<Compute<T>>(a[from[0] + i * sa]),
                                               static_cast<Compute<T>>(b[from[1] + i * sb])));
                   });
                 });
  }

  bool can_share(int, int input) const override {
    return sizeof(T) == sizeof(U) && in(input).num_elements() == out(0).num_elements();
  }

 private:
  BroadcastPlan plan_;
};

}  // namespace cohort::cpu::plain
