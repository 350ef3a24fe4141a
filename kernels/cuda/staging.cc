#include "cohort/kernels/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "cohort/kernels/cuda/copy.h"
#include "cohort/kernels/cuda/status.h"
#include "cohort/kernels/cuda/wait.h"

namespace cohort::cuda {

Staging::Staging(std::shared_ptr<Streams> streams) : streams_(std::move(streams)) {
  DeviceGuard guard(streams_->ordinal);  // an event belongs to the device that is current
  check(cudaHostAlloc(memory_.receive(), kSlots * kSlotBytes, cudaHostAllocPortable),
        "cudaHostAlloc");
  for (size_t i = 0; i < kSlots; ++i)
    slots_[i] = {static_cast<std::byte*>(memory_.get()) + i * kSlotBytes, make_event()};
}

Staging::Slot& Staging::next() {
  Slot& slot = slots_[turn_++ % kSlots];
  wait_for(*streams_, slot.free);
  return slot;
}

// The ring bounds how far the host may run ahead, by small copies too.
void Staging::store(void* to, const void* from, size_t bytes) {
  if (stores_++ % kStoresOfSlot == 0)
    check(cudaEventRecord(next().free, streams_->compute), "cudaEventRecord");
  store_bytes(to, from, bytes, streams_->compute);
}

void Staging::copy_to_device(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (bytes <= kMaxStoredBytes) return store(to, from, bytes);
  auto* target = static_cast<std::byte*>(to);
  const auto* source = static_cast<const std::byte*>(from);
  for (size_t done = 0; done < bytes; done += kSlotBytes) {
    const size_t count = std::min(kSlotBytes, bytes - done);
    Slot& slot = next();
    std::memcpy(slot.memory, source + done, count);
    check(cudaMemcpyAsync(target + done, slot.memory, count, cudaMemcpyHostToDevice,
                          streams_->compute),
          "cudaMemcpyAsync");
    check(cudaEventRecord(slot.free, streams_->compute), "cudaEventRecord");
  }
}

// Two slots in turn: while one is emptied by the processor the next is being filled.
void Staging::copy_to_host(void* to, const void* from, size_t bytes) {
  auto* target = static_cast<std::byte*>(to);
  const auto* source = static_cast<const std::byte*>(from);
  Slot* filled = nullptr;
  size_t filled_at = 0;
  size_t filled_bytes = 0;
  const auto empty = [&] {
    wait_for(*streams_, filled->free);
    std::memcpy(target + filled_at, filled->memory, filled_bytes);
  };
  for (size_t done = 0; done < bytes; done += kSlotBytes) {
    const size_t count = std::min(kSlotBytes, bytes - done);
    Slot& slot = next();
    check(cudaMemcpyAsync(slot.memory, source + done, count, cudaMemcpyDeviceToHost,
                          streams_->compute),
          "cudaMemcpyAsync");
    check(cudaEventRecord(slot.free, streams_->compute), "cudaEventRecord");
    if (filled) empty();
    filled = &slot;
    filled_at = done;
    filled_bytes = count;
  }
  if (filled) empty();
}

}  // namespace cohort::cuda
