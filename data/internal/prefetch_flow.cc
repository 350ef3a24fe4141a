#include "cohort/data/internal/prefetch_flow.h"

#include <algorithm>
#include <utility>

#include "cohort/core/current_error.h"
#include "cohort/data/internal/nodes.h"

namespace cohort::data {
namespace {

using namespace std::chrono_literals;

constexpr auto kShortestNap = 20us;
constexpr auto kLongestNap = 5ms;
// Few enough that writer and reader meet in the cache, enough for some naps' worth of small steps.
constexpr uint64_t kMostSlots = 16;
constexpr size_t kRingBytes = size_t{1} << 19;

constexpr int kSpins = 2000;  // 20 to 100 us

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

PrefetchFlow::PrefetchFlow(FlowPtr<Element> input, int64_t buffer_size, int64_t epochs)
    : input_(std::move(input)),
      slots_(buffer_size == kAutotune ? kMostSlots : static_cast<size_t>(buffer_size)),
      num_slots_(slots_.size()),
      autotune_(buffer_size == kAutotune) {
  reader_.epochs_left = writer_.epochs_left = epochs;
}

PrefetchFlow::~PrefetchFlow() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  space_.notify_one();
  thread_.join();
}

void PrefetchFlow::start() {
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

int64_t PrefetchFlow::skip(int64_t count) {
  return thread_.joinable() ? ElementFlow::skip(count) : input_->skip(count);
}

int64_t PrefetchFlow::next(std::span<Element> out) {
  if (!thread_.joinable()) start();
  for (size_t filled = 0; filled < out.size(); ++filled) {
    if (reader_.epochs_left == 0) return static_cast<int64_t>(filled);
    const uint64_t number = reader_.taken.load(std::memory_order_relaxed);
    if (number == reader_.known_published) wait_for_element();
    Slot& full = slot(number);
    if (full.kind == Kind::kError) throw Error(*full.error);
    const Kind kind = full.kind;
    if (kind == Kind::kElement) std::swap(out[filled], full.element);
    reader_.taken.store(number + 1, std::memory_order_release);
    if (kind == Kind::kEnd) {
      --reader_.epochs_left;
      return static_cast<int64_t>(filled);
    }
  }
  return std::ssize(out);
}

void PrefetchFlow::wait_for_element() {
  const uint64_t taken = reader_.taken.load(std::memory_order_relaxed);
  const auto has_element = [&] {
    reader_.known_published = writer_.published.load(std::memory_order_seq_cst);
    return reader_.known_published != taken;
  };
  for (int i = 0; i < kSpins; ++i) {
    if (has_element()) return;
    pause();
  }
  std::unique_lock lock(mutex_);
  reader_sleeps_.store(true, std::memory_order_seq_cst);
  space_.notify_one();
  element_.wait(lock, has_element);
  reader_sleeps_.store(false, std::memory_order_relaxed);
}

void PrefetchFlow::run() {
  while (writer_.epochs_left > 0 && wait_for_space()) {
    Slot& free = slot(writer_.published.load(std::memory_order_relaxed));
    try {
      const bool got = input_->next({&free.element, 1}) == 1;
      free.kind = got ? Kind::kElement : Kind::kEnd;
      if (!got) --writer_.epochs_left;
      if (std::exchange(autotune_, false) && got) choose_size(free.element);
    } catch (...) {
      free.error = current_error();
      free.kind = Kind::kError;
      writer_.epochs_left = 0;
    }
    publish();
  }
}

void PrefetchFlow::choose_size(const Element& first) {
  size_t bytes = 1;
  for (const Tensor& tensor : first) bytes += tensor.num_bytes();
  num_slots_ = std::clamp<uint64_t>(kRingBytes / bytes, 2, kMostSlots);
}

void PrefetchFlow::publish() {
  const uint64_t published = writer_.published.load(std::memory_order_relaxed) + 1;
  writer_.published.store(published, std::memory_order_seq_cst);
  if (!reader_sleeps_.load(std::memory_order_seq_cst)) return;
  const std::lock_guard lock(mutex_);
  element_.notify_one();
}

bool PrefetchFlow::wait_for_space() {
  const uint64_t published = writer_.published.load(std::memory_order_relaxed);
  const auto num_full = [&] { return published - reader_.taken.load(std::memory_order_acquire); };
  if (num_full() < num_slots_) return !stopping_.load(std::memory_order_relaxed);

  std::unique_lock lock(mutex_);
  const auto may_go_on = [&] { return stopping_ || num_full() < num_slots_; };
  while (!stopping_ && num_full() == num_slots_) {
    const Clock::time_point before = Clock::now();
    space_.wait_for(lock, writer_.nap, may_go_on);
    const auto slept = Clock::now() - before;
    const auto taken = static_cast<int64_t>(num_slots_ - num_full());
    const auto half_ring = std::max<int64_t>(1, static_cast<int64_t>(num_slots_ / 2));
    writer_.nap = std::clamp<Clock::duration>(taken > 0 ? slept * half_ring / taken : 2 * slept,
                                              kShortestNap, kLongestNap);
  }
  return !stopping_;
}

}  // namespace cohort::data
