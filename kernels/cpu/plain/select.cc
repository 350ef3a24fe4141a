#include <cmath>

#include "cohort/kernels/cpu/broadcast.h"
#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/register.h"
#include "cohort/kernels/cpu/plain/types.h"

namespace cohort::cpu::plain {
namespace {

// y = condition ? a : b. Only the size of an element matters.
template <class T>
class SelectKernel final : public CpuKernel {
 public:
  explicit SelectKernel(const KernelRequest& request)
      : CpuKernel(request),
        plan_(request.outputs[0].shape, std::array{request.inputs[0].shape, request.inputs[1].shape,
                                                   request.inputs[2].shape}) {}

  void run() override {
    const bool* condition = in(0).data<bool>();
    const T* a = in(1).template data<T>();
    const T* b = in(2).template data<T>();
    T* y = out(0).template data<T>();
    const int64_t sc = plan_.inner_stride(0), sa = plan_.inner_stride(1),
                  sb = plan_.inner_stride(2);
    parallel_for(threads(), plan_.num_elements(), grain_for(2, 3 * sizeof(T) + 1),
                 [=, this](int64_t begin, int64_t end) {
                   plan_.for_each_run(begin, end, [=](int64_t at, const auto& from, int64_t n) {
                     for (int64_t i = 0; i < n; ++i)
                       y[at + i] =
                           condition[from[0] + i * sc] ? a[from[1] + i * sa] : b[from[2] + i * sb];
                   });
                 });
  }

 private:
  BroadcastPlan plan_;
};

// y = a b + c, rounded once.
template <class T>
class FmaKernel final : public CpuKernel {
 public:
  explicit FmaKernel(const KernelRequest& request)
      : CpuKernel(request),
        plan_(request.outputs[0].shape, std::array{request.inputs[0].shape, request.inputs[1].shape,
                                                   request.inputs[2].shape}) {}

  void run() override {
    using C = Compute<T>;
    const T* a = in(0).template data<T>();
    const T* b = in(1).template data<T>();
    const T* c = in(2).template data<T>();
    T* y = out(0).template data<T>();
    const int64_t sa = plan_.inner_stride(0), sb = plan_.inner_stride(1),
                  sc = plan_.inner_stride(2);
    parallel_for(threads(), plan_.num_elements(), grain_for(2, 4 * sizeof(T)),
                 [=, this](int64_t begin, int64_t end) {
                   plan_.for_each_run(begin, end, [=](int64_t at, const auto& from, int64_t n) {
                     for (int64_t i = 0; i < n; ++i)
                       y[at + i] = static_cast<T>(std::fma(static_cast<C>(a[from[0] + i * sa]),
                                                           static_cast<C>(b[from[1] + i * sb]),
                                                           static_cast<C>(c[from[2] + i * sc])));
                   });
                 });
  }
  bool can_share(int, int input) const override {
    return in(input).num_elements() == out(0).num_elements();
  }

 private:
  BroadcastPlan plan_;
};

// y = x_0 + x_1 + …, in this order.
template <class T>
class AddNKernel final : public CpuKernel {
 public:
  explicit AddNKernel(const KernelRequest& request) : CpuKernel(request) {}

  void run() override {
    T* y = out(0).template data<T>();
    parallel_for(threads(), out(0).num_elements(),
                 grain_for(num_inputs(), (num_inputs() + 1) * static_cast<int64_t>(sizeof(T))),
                 [=, this](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     Compute<T> sum = static_cast<Compute<T>>(in(0).template data<T>()[i]);
                     for (int k = 1; k < num_inputs(); ++k)
                       sum = static_cast<Compute<T>>(
                           sum + static_cast<Compute<T>>(in(k).template data<T>()[i]));
                     y[i] = static_cast<T>(sum);
                   }
                 });
  }
  bool can_share(int, int) const override { return true; }
};

std::unique_ptr<Kernel> make_select(const KernelRequest& request) {
  return for_bytes(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<SelectKernel<decltype(type)>>(request);
  });
}

std::unique_ptr<Kernel> make_fma(const KernelRequest& request) {
  return for_floating(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<FmaKernel<decltype(type)>>(request);
  });
}

std::unique_ptr<Kernel> make_add_n(const KernelRequest& request) {
  return for_numbers(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<AddNKernel<decltype(type)>>(request);
  });
}

}  // namespace

void register_select(KernelRegistry& registry) {
  registry.add("Select", DeviceType::kCPU, kPlain, make_select);
  registry.add("Fma", DeviceType::kCPU, kPlain, make_fma);
  registry.add("AddN", DeviceType::kCPU, kPlain, make_add_n);
}

}  // namespace cohort::cpu::plain
