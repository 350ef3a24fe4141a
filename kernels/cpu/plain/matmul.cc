#include "cohort/kernels/cpu/matmul_plan.h"

#include <algorithm>

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/register.h"
#include "cohort/kernels/cpu/plain/types.h"

namespace cohort::cpu::plain {
namespace {

// Row by row, kTogether columns at a time, summed over k in order.
template <class T>
class MatMulKernel final : public CpuKernel {
 public:
  explicit MatMulKernel(const KernelRequest& request) : CpuKernel(request), plan_(request) {}

  void run() override {
    const int64_t rows = static_cast<int64_t>(plan_.offsets.size()) * plan_.m;
    parallel_for(threads(), rows, grain_for(2 * plan_.k * plan_.n, 0),
                 [this](int64_t begin, int64_t end) {
                   for (int64_t row = begin; row < end; ++row)
                     for (int64_t j = 0; j < plan_.n; j += kTogether)
                       multiply(row, j, std::min(kTogether, plan_.n - j));
                 });
  }

 private:
  using A = Accumulator<T>;
  static constexpr int64_t kTogether = 64;

  void multiply(int64_t row, int64_t column, int64_t count) const {
    const auto [a_offset, b_offset] = plan_.offsets[static_cast<size_t>(row / plan_.m)];
    const int64_t i = row % plan_.m;
    const T* a = in(0).template data<T>() + a_offset + (plan_.transpose_a ? i : i * plan_.k);
    const int64_t a_stride = plan_.transpose_a ? plan_.m : 1;
    const T* b =
        in(1).template data<T>() + b_offset + (plan_.transpose_b ? column * plan_.k : column);
    const int64_t b_stride = plan_.transpose_b ? 1 : plan_.n;
    const int64_t b_step = plan_.transpose_b ? plan_.k : 1;
    A sums[kTogether] = {};
    for (int64_t p = 0; p < plan_.k; ++p)
      for (int64_t j = 0; j < count; ++j)
        sums[j] += static_cast<A>(static_cast<A>(a[p * a_stride]) *
                                  static_cast<A>(b[p * b_stride + j * b_step]));
    store(sums, count, column, out(0).template data<T>() + row * plan_.n + column);
  }

  void store(const A* sums, int64_t count, int64_t column, T* y) const {
    const T* bias = plan_.bias ? in(2).template data<T>() + column : nullptr;
    for (int64_t j = 0; j < count; ++j) {
      A value = bias ? static_cast<A>(sums[j] + static_cast<A>(bias[j])) : sums[j];
      if (plan_.relu && value < A{0}) value = A{0};
      y[j] = static_cast<T>(static_cast<Compute<T>>(value));
    }
  }

  MatMulPlan plan_;
};

std::unique_ptr<Kernel> make_matmul(const KernelRequest& request) {
  return for_numbers(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<MatMulKernel<decltype(type)>>(request);
  });
}

}  // namespace

void register_matmul(KernelRegistry& registry) {
  registry.add("MatMul", DeviceType::kCPU, kPlain, make_matmul);
  registry.add("FusedMatMul", DeviceType::kCPU, kPlain, make_matmul);
}

}  // namespace cohort::cpu::plain
