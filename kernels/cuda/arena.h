#pragma once

#include <vector>

#include "cohort/core/device/device.h"
#include "cohort/kernels/cuda/status.h"
#include "cohort/kernels/cuda/streams.h"

namespace cohort::cuda {

/// The driver's functions for virtual memory. They are looked up through the runtime library,
/// because libcuda is never linked.
struct VirtualMemoryApi;

/// A reserved range of device addresses, as large as the device's memory, whose beginning is backed
/// by memory; more is mapped behind it when it grows. Kernels may run meanwhile, but where the
/// device has nothing left beside what the pool keeps (trim_pool).
class CudaArena final : public Device::Arena {
 public:
  explicit CudaArena(std::shared_ptr<Streams> streams);
  ~CudaArena() override;

  void* base() const override { return reinterpret_cast<void*>(base_); }
  size_t bytes() const override { return mapped_; }
  void grow(size_t bytes) override;

 private:
  void reserve();
  Error exhausted(size_t bytes) const;
  CUmemGenericAllocationHandle take(size_t bytes);
  void map(size_t bytes);

  std::shared_ptr<Streams> streams_;
  std::unique_ptr<VirtualMemoryApi> api_;
  CUmemAllocationProp properties_ = {};
  size_t granularity_ = 0;
  CUdeviceptr base_ = 0;
  size_t reserved_ = 0;
  size_t mapped_ = 0;
  std::vector<size_t> pieces_;  // bytes of each mapping, in order
};

}  // namespace cohort::cuda
