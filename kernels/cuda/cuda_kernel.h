#pragma once

#include <functional>
#include <memory>

#include "cohort/core/runtime/kernel.h"
#include "cohort/kernels/cuda/device.h"
#include "cohort/kernels/cuda/status.h"

namespace cohort::cuda {

inline CudaDevice& device_of(const KernelRequest& request) {
  return static_cast<CudaDevice&>(request.device);
}
inline cudaStream_t stream_of(const KernelRequest& request) {
  return device_of(request).compute_stream();
}

/// Enqueues a copy within the device, or zeros. No bytes are no work: recordings want none.
inline void copy_bytes(void* to, const void* from, size_t bytes, cudaStream_t stream) {
  if (bytes > 0 && to != from)
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream), "copy");
}
inline void zero_bytes(void* to, size_t bytes, cudaStream_t stream) {
  if (bytes > 0) check(cudaMemsetAsync(to, 0, bytes, stream), "zero");
}

struct KernelTraits {
  size_t workspace_bytes = 0;
  /// Any output may take the memory of any input of the same bytes: elements are read before they
  /// are written, each by one thread.
  bool in_place = false;
};

/// A kernel that calls `submit()`, which enqueues the work and allocates nothing.
template <class Submit>
class SubmitKernel final : public Kernel {
 public:
  SubmitKernel(Submit submit, KernelTraits traits) : submit_(std::move(submit)), traits_(traits) {}
  void run() override { submit_(); }
  size_t workspace_bytes() const override { return traits_.workspace_bytes; }
  bool can_share(int, int) const override { return traits_.in_place; }

 private:
  Submit submit_;
  KernelTraits traits_;
};

template <class Submit>
std::unique_ptr<Kernel> make_kernel(Submit submit, KernelTraits traits = {}) {
  return std::make_unique<SubmitKernel<Submit>>(std::move(submit), traits);
}

}  // namespace cohort::cuda
