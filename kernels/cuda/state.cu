#include "cohort/kernels/cuda/state.h"

#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/types.cuh"

namespace cohort::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads)
    assign_kernel(AssignKind kind, const T* value, T* variable, int64_t n, const Fault* fault) {
  using C = Compute<T>;
  const int64_t i = element_index();
  if (i >= n || fault->site != 0) return;
  const C x = static_cast<C>(value[i]);
  if (kind == AssignKind::kReplace)
    variable[i] = value[i];
  else if (kind == AssignKind::kAdd)
    variable[i] = static_cast<T>(static_cast<C>(variable[i]) + x);
  else
    variable[i] = static_cast<T>(static_cast<C>(variable[i]) - x);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    check_finite_kernel(const T* x, int64_t n, bool* all_finite) {
  const int64_t i = element_index();
  if (i < n && !isfinite(static_cast<Compute<T>>(x[i]))) *all_finite = false;
}

__global__ void vote_kernel(const Fault* fault, int32_t* mine) { *mine = fault->site == 0 ? 1 : 0; }

__global__ void veto_kernel(const int32_t* sum, int32_t voters, Fault* fault) {
  if (*sum != voters) atomicCAS(&fault->site, 0, Fault::kElsewhere);
}

}  // namespace

bool assign(AssignKind kind, DType dtype, const void* value, void* variable, int64_t n,
            const Fault* fault, cudaStream_t stream) {
  const auto run = [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("assign", assign_kernel<T>, n, stream, kind, static_cast<const T*>(value),
                    static_cast<T*>(variable), n, fault);
  };
  if (dtype != DType::kBool) return visit_number(dtype, run);
  if (kind == AssignKind::kReplace) run(Tag<uint8_t>{});
  return kind == AssignKind::kReplace;
}

void vote(const Fault* fault, int32_t* mine, cudaStream_t stream) {
  launch("step_vote", vote_kernel, 1, 1, stream, fault, mine);
}

void veto(const int32_t* sum, int32_t voters, Fault* fault, cudaStream_t stream) {
  launch("step_veto", veto_kernel, 1, 1, stream, sum, voters, fault);
}

bool check_finite(DType dtype, const void* x, int64_t n, bool* all_finite, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("all_finite", check_finite_kernel<T>, n, stream, static_cast<const T*>(x), n,
                    all_finite);
  });
}

}  // namespace cohort::cuda
