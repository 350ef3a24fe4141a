// Ops that move no numbers or make constant ones.
#include <algorithm>
#include <cstring>

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/elementwise_ops.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

// Copy and Tuple; and Reshape, Identity, StopGradient, where the compiler could not make the output
// an alias.
class CopyKernel final : public CpuKernel {
 public:
  explicit CopyKernel(const KernelRequest& request) : CpuKernel(request) {}
  void run() override {
    for (int i = 0; i < num_outputs(); ++i) copy(i);
  }
  bool can_share(int output, int input) const override { return output == input; }

 private:
  void copy(int i) const {
    const std::byte* from = in(i).data<std::byte>();
    std::byte* to = out(i).data<std::byte>();
    if (from == to) return;
    parallel_for(threads(), static_cast<int64_t>(out(i).num_bytes()), 2 * kForkBytes,
                 [=](int64_t begin, int64_t end) {
                   std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin));
                 });
  }
};

template <class T>
class FillKernel final : public CpuKernel {
 public:
  FillKernel(const KernelRequest& request, T value) : CpuKernel(request), value_(value) {}
  void run() override {
    T* y = out(0).template data<T>();
    parallel_for(threads(), out(0).num_elements(), grain_for(1, sizeof(T)),
                 [=, this](int64_t begin, int64_t end) { std::fill(y + begin, y + end, value_); });
  }

 private:
  T value_;
};

class RowsKernel final : public CpuKernel {
 public:
  explicit RowsKernel(const KernelRequest& request)
      : CpuKernel(request), rows_(request.inputs[0].shape.size(0)) {}
  void run() override { *out(0).data<int64_t>() = rows_; }

 private:
  int64_t rows_;
};

template <class K>
std::unique_ptr<Kernel> make_copy(const KernelRequest& request) {
  return std::make_unique<K>(request);
}

std::unique_ptr<Kernel> make_fill(const KernelRequest& request) {
  const double value = request.node.attrs().get<double>("value");
  return visit_dtype(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    using T = decltype(type);
    return std::make_unique<FillKernel<T>>(request, cast_element<T>(value));
  });
}

}  // namespace

void register_copy(KernelRegistry& registry) {
  for (const std::string_view op : {"Copy", "Tuple", "Reshape", "Identity", "StopGradient"})
    registry.add(op, DeviceType::kCPU, kPlain, make_copy<CopyKernel>);
  registry.add("Fill", DeviceType::kCPU, kPlain, make_fill);
  registry.add("Shape0", DeviceType::kCPU, kPlain, make_copy<RowsKernel>);
}

}  // namespace cohort::cpu::plain
