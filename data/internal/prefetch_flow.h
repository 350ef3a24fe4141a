#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/data/internal/node.h"

namespace cohort::data {

/// Runs its input on a thread of its own, ahead of the reader, through a ring of slots with one
/// writer and one reader. Taking an element swaps it with the slot's old one, so memory circulates
/// and nothing is copied.
///
/// The reader's side costs two atomic operations while the writer keeps up. The writer never needs
/// a wake-up then: when the ring is full it naps for about the time in which the reader empties
/// half of it. Only a reader that finds the ring empty, and has spun in vain, takes the lock, wakes
/// the writer and sleeps.
class PrefetchFlow : public ElementFlow {
 public:
  /// `epochs`: how many ends of `input` the thread runs through before it ends. kAutotune: the
  /// first element decides how many slots there are.
  PrefetchFlow(FlowPtr<Element> input, int64_t buffer_size, int64_t epochs);
  ~PrefetchFlow() override;

  int64_t next(std::span<Element> out) override;
  int64_t skip(int64_t count) override;
  void start() override;

 private:
  enum class Kind : uint8_t { kElement, kEnd, kError };
  struct Slot {
    Kind kind = Kind::kElement;
    Element element;
    std::optional<Error> error;
  };
  using Clock = std::chrono::steady_clock;

  Slot& slot(uint64_t number) { return slots_[number % num_slots_]; }
  // The writer's thread.
  void run();
  void choose_size(const Element& first);
  bool wait_for_space();
  void publish();
  // The reader's thread.
  void wait_for_element();

  FlowPtr<Element> input_;
  std::vector<Slot> slots_;
  uint64_t num_slots_;  ///< in use; fixed once the first slot is published
  bool autotune_;

  struct alignas(64) Reader {
    std::atomic<uint64_t> taken{0};  ///< slots that were read
    uint64_t known_published = 0;    ///< what the reader last saw
    int64_t epochs_left = 0;
  } reader_;
  struct alignas(64) Writer {
    std::atomic<uint64_t> published{0};  ///< slots that were written
    int64_t epochs_left = 0;
    Clock::duration nap = std::chrono::microseconds(50);
  } writer_;

  alignas(64) std::mutex mutex_;  // of the sleepers only
  std::condition_variable space_;
  std::condition_variable element_;
  std::atomic<bool> reader_sleeps_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace cohort::data
