#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <span>

#include "cohort/core/device/device.h"
#include "cohort/kernels/cuda/fault_log.h"
#include "cohort/kernels/cuda/status.h"
#include "cohort/kernels/cuda/streams.h"

namespace cohort::cuda {

/// One GPU, or one of several logical devices on a card, which share its context. Kernels run on
/// its compute stream in the order of submission. It gets a context, which costs hundreds of MB,
/// and everything below when it is first used.
class CudaDevice final : public Device {
 public:
  explicit CudaDevice(Place place);
  explicit CudaDevice(int ordinal) : CudaDevice(Place{.ordinal = ordinal}) {}
  ~CudaDevice() override;

  const DeviceName& name() const override { return name_; }
  std::shared_ptr<void> allocate(size_t bytes) override { return cuda::allocate(streams(), bytes); }
  Arena& arena() override;
  void copy_from_host(void* to, const void* from, size_t bytes) override;
  void copy_to_host(void* to, const void* from, size_t bytes) override;
  void copy_from_device(void* to, Device& source, const void* from, size_t bytes) override;
  void synchronize() override;
  bool begin_recording() override;
  std::unique_ptr<Recording> end_recording() override;
  void bind_thread() override;

  /// Of the card.
  int ordinal() const { return place_.ordinal; }
  /// Whether it has been used.
  bool is_open() const { return open_.load() != nullptr; }
  /// Runs `work`, which waits for other devices' threads and orders streams; in a recording, at
  /// this place of every replay, with what was recorded before and behind as graphs of their own.
  void between_kernels(std::function<void()> work);
  // First use. Throws FailedPrecondition with the device's name and what CUDA says when it cannot
  // be used: another process has it for itself, or it does not run this build's kernels.
  const std::shared_ptr<Streams>& streams();
  cudaStream_t compute_stream() { return streams()->compute; }
  FaultLog& faults();
  /// Whether f32 products may be rounded to TensorFloat-32 (about three digits, on tensor cores):
  /// when the environment variable COHORT_TF32 was 1 as the module was loaded.
  bool allow_tf32() const { return allow_tf32_; }

  // Made at first use: loading these libraries' code takes long. The cuDNN handle submits to the
  // compute stream.
  cublasLtHandle_t cublas();
  cudnnHandle_t cudnn();

 private:
  struct Open;
  Open& open();
  std::unique_ptr<Open> make_open() const;

  const DeviceName name_;
  const Place place_;
  const bool allow_tf32_;
  const bool records_;
  std::mutex opening_;
  std::unique_ptr<Open> owned_;  // guarded by opening_
  std::atomic<Open*> open_ = nullptr;
};

/// From now on these GPUs take steps together (FaultLog::join).
void join_faults(std::span<Device* const> devices);

}  // namespace cohort::cuda
