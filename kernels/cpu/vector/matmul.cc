#include <algorithm>

#include "cohort/kernels/cpu/matmul_plan.h"
#include "cohort/kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

// The rows of all output matrices, one after the other, are split over the team; each thread has
// its own scratch.
template <class T>
class MatMulKernel final : public CpuKernel {
 public:
  explicit MatMulKernel(const KernelRequest& request) : CpuKernel(request), plan_(request) {
    const size_t bytes = simd().of<T>().gemm_scratch_bytes(shape());
    scratch_bytes_ = (bytes + 63) / 64 * 64;
  }

  size_t workspace_bytes() const override {
    return scratch_bytes_ * static_cast<size_t>(threads());
  }

  void run() override {
    const int64_t rows = static_cast<int64_t>(plan_.offsets.size()) * plan_.m;
    const int64_t bytes = (plan_.k + plan_.n) * static_cast<int64_t>(sizeof(T));
    parallel_for(threads(), rows, grain_for(2 * plan_.k * plan_.n, bytes),
                 [this](int64_t begin, int64_t end) { multiply(begin, end); });
  }

 private:
  GemmArgs<T> shape() const {
    GemmArgs<T> args;
    args.m = plan_.m;
    args.n = plan_.n;
    args.k = plan_.k;
    args.transpose_a = plan_.transpose_a;
    args.transpose_b = plan_.transpose_b;
    args.lda = plan_.transpose_a ? plan_.m : plan_.k;
    args.ldb = plan_.transpose_b ? plan_.k : plan_.n;
    args.ldc = plan_.n;
    args.relu = plan_.relu;
    return args;
  }

  GemmArgs<T> rows(size_t matrix, int64_t begin, int64_t end) const {
    GemmArgs<T> args = shape();
    args.a = in(0).template data<T>() + plan_.offsets[matrix].first;
    args.b = in(1).template data<T>() + plan_.offsets[matrix].second;
    args.c = out(0).template data<T>() + static_cast<int64_t>(matrix) * plan_.m * plan_.n;
    if (plan_.bias) args.bias = in(2).template data<T>();
    return gemm_rows(args, begin, end);
  }

  void multiply(int64_t begin, int64_t end) const {
    std::byte* scratch =
        workspace() +
        scratch_bytes_ * static_cast<size_t>(omp_in_parallel() ? omp_get_thread_num() : 0);
    while (begin < end) {
      const int64_t matrix = begin / plan_.m, row = begin % plan_.m;
      const int64_t last = std::min(plan_.m, row + end - begin);
      GemmArgs<T> part = rows(static_cast<size_t>(matrix), row, last);
      part.scratch = scratch;
      simd().of<T>().gemm(part);
      begin += last - row;
    }
  }

  MatMulPlan plan_;
  size_t scratch_bytes_ = 0;
};

}  // namespace

void register_matmul(KernelRegistry& registry) {
  registry.add("MatMul", DeviceType::kCPU, kVector, make_by_output<MatMulKernel>);
  registry.add("FusedMatMul", DeviceType::kCPU, kVector, make_by_output<MatMulKernel>);
}

}  // namespace cohort::cpu::vector
