#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "cohort/core/runtime/device.h"
#include "cohort/kernels/cuda/arena.h"
#include "cohort/kernels/cuda/fault_log.h"
#include "cohort/kernels/cuda/recording.h"
#include "cohort/kernels/cuda/staging.h"

namespace cohort::cuda {

/// One GPU. Kernels run on its compute stream in the order of submission.
class CudaDevice final : public Device {
 public:
  /// Throws what CUDA says when the device cannot be used.
  explicit CudaDevice(int ordinal);

  const DeviceName& name() const override { return name_; }
  std::shared_ptr<void> allocate(size_t bytes) override { return cuda::allocate(streams_, bytes); }
  Arena& arena() override { return arena_; }
  void copy_from_host(void* to, const void* from, size_t bytes) override;
  void copy_to_host(void* to, const void* from, size_t bytes) override;
  void copy_from_device(void* to, Device& source, const void* from, size_t bytes) override;
  void synchronize() override;
  bool begin_recording() override;
  std::unique_ptr<Recording> end_recording() override;
  void bind_thread() override;

  int ordinal() const { return streams_->ordinal; }
  const std::shared_ptr<Streams>& streams() const { return streams_; }
  cudaStream_t compute_stream() const { return streams_->compute; }
  FaultLog& faults() { return faults_; }
  int num_multiprocessors() const { return num_multiprocessors_; }
  /// Whether f32 products may be rounded to TensorFloat-32 (about three digits, on tensor cores):
  /// when the environment variable COHORT_TF32 was 1 as the module was loaded.
  bool allow_tf32() const { return allow_tf32_; }

  // Made at first use: loading these libraries' code takes long. The cuDNN handle submits to the
  // compute stream.
  cublasLtHandle_t cublas();
  cudnnHandle_t cudnn();

  /// Calls `monitor` from time to time while this device is waited for, with how long that has
  /// been, until the returned owner goes; it ends the wait by throwing. For communicators, whose
  /// peers may have died.
  using Monitor = std::function<void(std::chrono::milliseconds waited)>;
  std::shared_ptr<Monitor> add_monitor(Monitor monitor);

 private:
  void wait_for_compute();

  DeviceName name_;
  std::shared_ptr<Streams> streams_;
  CudaArena arena_;
  FaultLog faults_;
  Staging staging_;
  Handle<cublasLtHandle_t, cublasLtDestroy> cublas_;
  Handle<cudnnHandle_t, cudnnDestroy> cudnn_;
  std::vector<std::weak_ptr<Monitor>> monitors_;
  int num_multiprocessors_ = 0;
  bool allow_tf32_ = false;
};

}  // namespace cohort::cuda
