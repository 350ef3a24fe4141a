#pragma once

#include <cstddef>
#include <memory>

#include "cohort/core/device.h"
#include "cohort/core/device/device_turn.h"

namespace cohort {

/// A place where kernels run: its memory, its copies and its order of execution. One thread at a
/// time submits work to a device: who holds a DeviceTurn, or a thread that works for it.
/// Implementations: CPU (core/runtime/cpu_device), CUDA (kernels/cuda).
class Device {
 public:
  virtual ~Device();

  /// Complete: job, replica, task, type and index.
  virtual const DeviceName& name() const = 0;
  DeviceType type() const { return *name().type; }
  int index() const { return *name().index; }
  TurnLock& turn() { return turn_; }

  /// 256-byte aligned (CPU: huge pages from 2 MiB on), zeroed. Freed when the last owner goes.
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
  /// The arena that the executables of this device share: they never run together (DeviceTurn).
  virtual Arena& arena() = 0;

  // Ordered with the kernels of this device; host memory may be reused when they return.
  virtual void copy_from_host(void* to, const void* from, size_t bytes) = 0;
  virtual void copy_to_host(void* to, const void* from, size_t bytes) = 0;
  /// From memory of any device of this process.
  virtual void copy_from_device(void* to, Device& source, const void* from, size_t bytes) = 0;
  /// Returns when all submitted work is done; throws what failed in it.
  virtual void synchronize() = 0;

  /// What kernels submitted between begin_recording() and end_recording(), to be run again as a
  /// whole. Addresses are those of the recording; what they hold is read at each replay.
  class Recording {
   public:
    virtual ~Recording() = default;
    /// Submits everything recorded, in the order of this device's work.
    virtual void replay() = 0;
  };
  /// From now on what this thread submits is recorded and not run. Returns false, and changes
  /// nothing, on a device that does not record (a CPU; a GPU with COHORT_RECORD=0). Every kernel
  /// must have run once before, and nothing may be allocated, copied from or to the host, or waited
  /// for until end_recording().
  virtual bool begin_recording();
  /// Ends what begin_recording() began. Throws what went wrong in between; nothing is recorded
  /// then. Null on a device that does not record.
  virtual std::unique_ptr<Recording> end_recording();

  /// CPU: threads of this device's team. Others: 1.
  virtual int num_threads() const { return 1; }
  /// To be called by a thread before it runs this device's kernels: team size, flushed denormals,
  /// current CUDA device.
  virtual void bind_thread() {}

 private:
  TurnLock turn_;
};

}  // namespace cohort
