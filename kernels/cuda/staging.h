#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "cohort/kernels/cuda/streams.h"

namespace cohort::cuda {

/// Pinned host memory through which copies from ordinary host memory go, in chunks: a ring of
/// slots, each free again when its copy has run. One thread at a time.
class Staging {
 public:
  explicit Staging(std::shared_ptr<Streams> streams);

  // On the compute stream.
  /// Enqueues the copy to the device; `from` may be reused when this returns.
  void copy_to_device(void* to, const void* from, size_t bytes);
  /// Copies to `to` and waits for it.
  void copy_to_host(void* to, const void* from, size_t bytes);

 private:
  static constexpr size_t kSlots = 16;  // a few steps' inputs, so that the host may run ahead
  static constexpr size_t kSlotBytes = size_t{1} << 20;
  static constexpr size_t kStoresOfSlot = 4;  // copies too small for a slot each
  struct Slot {
    void* memory = nullptr;
    Event free;
  };
  /// The next slot of the ring, after its last copy has run.
  Slot& next();
  void store(void* to, const void* from, size_t bytes);

  std::shared_ptr<Streams> streams_;
  Handle<void*, cudaFreeHost> memory_;
  std::array<Slot, kSlots> slots_;
  size_t turn_ = 0;
  size_t stores_ = 0;
};

}  // namespace cohort::cuda
