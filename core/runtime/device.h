#pragma once

#include <cstddef>
#include <memory>

#include "core/device.h"

namespace cohort {

/// A place where kernels run: its memory, its copies and its order of execution. One thread at a
/// time submits work to a device. Implementations: CPU (core/runtime/cpu_device), CUDA
/// (kernels/cuda).
class Device {
 public:
  virtual ~Device() = default;

  /// Complete: job, replica, task, type and index.
  virtual const DeviceName& name() const = 0;
  DeviceType type() const { return *name().type; }
  int index() const { return *name().index; }

  /// 64-byte aligned (CPU: huge pages from 2 MiB on), zeroed. Freed when the last owner goes.
  /// Throws ResourceExhausted with the bytes asked for.
  virtual std::shared_ptr<void> allocate(size_t bytes) = 0;

  /// A region that grows in place, so that addresses in it stay valid. The address range is
  /// reserved at once.
  class Arena {
   public:
    virtual ~Arena() = default;
    virtual void* base() const = 0;
    virtual size_t bytes() const = 0;
    /// Makes at least `bytes` usable. Throws ResourceExhausted.
    virtual void grow(size_t bytes) = 0;
  };
  /// The arena that the executables of this device share: they never run together.
  virtual Arena& arena() = 0;

  // Ordered with the kernels of this device; host memory may be reused when they return.
  virtual void copy_from_host(void* to, const void* from, size_t bytes) = 0;
  virtual void copy_to_host(void* to, const void* from, size_t bytes) = 0;
  /// From memory of any device of this process.
  virtual void copy_from_device(void* to, Device& source, const void* from, size_t bytes) = 0;
  /// Returns when all submitted work is done; throws what failed in it.
  virtual void synchronize() = 0;

  /// CPU: threads of this device's team. Others: 1.
  virtual int num_threads() const { return 1; }
  /// To be called by a thread before it runs this device's kernels: team size, flushed denormals,
  /// current CUDA device.
  virtual void bind_thread() {}
};

}  // namespace cohort
