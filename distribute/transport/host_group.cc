#include "cohort/distribute/transport/host_group.h"

#include <fmt/format.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "cohort/core/terminal.h"

namespace cohort::distribute {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSpins = 2000;  // about 50 µs
constexpr int kSpinsWhenCrowded = 20;
constexpr int kYields = 200;
constexpr int kYieldsWhenCrowded = 20;
constexpr auto kLook = std::chrono::milliseconds(50);
constexpr auto kStopped = std::chrono::seconds(1);  // beyond kLook
constexpr auto kPostAfter = std::chrono::seconds(1);
// A sleeper that was not woken looks again by itself.
constexpr timespec kNap{0, 2'000'000};

void futex_wait(std::atomic<uint32_t>& word, uint32_t seen) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, seen, &kNap, nullptr, 0);
}

HostExchange meet_on_host(const HostGroupOptions& options, const SharedHeap& heap) {
  return exchange_on_host({.store = options.store,
                           .key = options.key,
                           .process = options.process,
                           .names = options.process_names,
                           .timeout = options.startup_timeout},
                          heap.file());
}

std::unique_ptr<cluster::WaitBoard::Group> join_board(const HostGroupOptions& options) {
  if (!options.wait_board) return nullptr;
  std::vector<int> mine;
  for (size_t r = 0; r < options.ranks.size(); ++r)
    if (options.process_of[r] == options.process) mine.push_back(options.ranks[r]);
  return std::make_unique<cluster::WaitBoard::Group>(options.wait_board, options.group_name,
                                                     std::move(mine));
}

}  // namespace

HostGroup::HostGroup(HostGroupOptions options)
    : options_(std::move(options)),
      layout_(static_cast<int>(options_.ranks.size())),
      heap_(std::make_shared<SharedHeap>()),
      exchange_(meet_on_host(options_, *heap_)),
      board_(join_board(options_)),
      oversubscribed_(size() > exchange_.num_cores),
      // With other hosts, the progress thread may need the core.
      spins_(oversubscribed_ || options_.group_size > size() ? kSpinsWhenCrowded : kSpins),
      head_memory_(exchange_.control.map(0, layout_.head_bytes())),
      head_(reinterpret_cast<ControlHead*>(head_memory_.get())) {}

std::shared_ptr<char> HostGroup::map_meeting(size_t index, bool with_slots) const {
  return exchange_.control.map(layout_.meeting(index),
                               with_slots ? layout_.meeting_bytes() : layout_.lines_bytes());
}

void HostGroup::leave_meeting(size_t index, RankLines* lines, int rank) const {
  lines[rank].left.store(1);
  for (int r = 0; r < size(); ++r)
    if (lines[r].left.load() == 0) return;
  exchange_.control.discard(layout_.meeting(index), layout_.meeting_bytes());
}

std::shared_ptr<char> HostGroup::map_buffer(int rank, uint64_t location, size_t bytes) const {
  const auto process = static_cast<size_t>(options_.process_of[static_cast<size_t>(rank)]);
  const SharedFile& file = exchange_.peers[process].heap;
  const uint64_t unit = bytes >= kHugePage ? kHugePage : kSmallPage;
  const uint64_t begin = location / unit * unit;
  const std::shared_ptr<char> mapping = file.map(begin, bytes + (location - begin));
  return {mapping, mapping.get() + (location - begin)};
}

WindowLines& HostGroup::window_lines(int rank) const {
  return reinterpret_cast<WindowLines*>(head_memory_.get() + ControlLayout::window_lines())[rank];
}

RankFlight& HostGroup::flight(int rank) const {
  return reinterpret_cast<RankFlight*>(head_memory_.get() + layout_.flights())[rank];
}

std::vector<RankHistory> HostGroup::histories() const {
  std::vector<RankHistory> all;
  for (int r = 0; r < size(); ++r)
    all.push_back(read_flight(flight(r), options_.ranks[static_cast<size_t>(r)]));
  return all;
}

void HostGroup::map_windows() {
  const std::lock_guard lock(mutex_);
  if (!windows_.empty()) return;
  for (size_t rank = 0; rank < layout_.ranks; ++rank)
    windows_.push_back(exchange_.control.map(layout_.window(rank), layout_.window_bytes()));
}

char* HostGroup::window_slot(int rank, uint64_t round) const {
  return windows_[static_cast<size_t>(rank)].get() + round % kWindowSlots * layout_.round_bytes();
}

void HostGroup::wake(std::atomic<uint32_t>& counter) const {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&counter), FUTEX_WAKE, 1 << 30, nullptr, nullptr,
          0);
}

/// Changes whenever something moves on this host: a rank starts a call or gets ahead in one, or the
/// progress thread has sent or received.
uint64_t HostGroup::movements() const {
  uint64_t sum = head_->moves.load(std::memory_order_relaxed);
  for (int r = 0; r < size(); ++r) {
    const WindowLines& lines = window_lines(r);
    sum += flight(r).started.load(std::memory_order_relaxed);
    for (const auto* counter : {&lines.filled, &lines.reduced, &lines.drained, &lines.added})
      sum += counter->load(std::memory_order_relaxed);
  }
  return sum;
}

/// What a rank that waits sees when it looks around now and then, and whom it tells.
class HostGroup::SlowWait {
 public:
  SlowWait(const HostGroup& group, const Awaited& awaited, const Caller& caller)
      : group_(group), awaited_(awaited), caller_(caller) {}

  void look_around() {
    const auto now = Clock::now();
    if (now < next_look_) return;
    // Time in which this thread was stopped is nobody's silence.
    const bool stopped = now - next_look_ > kStopped;
    next_look_ = now + kLook;
    if (const uint64_t moves = group_.movements(); moves != moves_ || stopped) {
      moves_ = moves;
      still_since_ = now;
      warned_ = false;
    }
    bool any_late = false;
    for_each_late([&](int rank) {
      any_late = true;
      if (group_.has_ended(rank) && !awaited_.has_come(rank))
        group_.fail_and_throw(Unavailable("{}: {} has ended", group_.describe_call(caller_),
                                          group_.describe_rank(rank)));
    });
    if (!any_late) return;
    if (group_.board_ && posted_.empty() && now - begin_ >= kPostAfter) post();
    check_patience(now - still_since_);
  }

 private:
  /// Allocates nothing: a busy machine makes every wait a slow one.
  template <typename F>
  void for_each_late(F&& look_at) const {
    for (int rank = awaited_.peer; rank < awaited_.end; ++rank)
      if (!awaited_.has_come(rank) && (rank != caller_.rank || caller_.of_node)) look_at(rank);
  }

  void check_patience(Clock::duration still) {
    const HostGroupOptions& options = group_.options_;
    if (still < std::min(options.timeout, options.warn_after)) return;
    std::string who;
    for_each_late([&](int rank) { who += (who.empty() ? "" : ", ") + group_.describe_rank(rank); });
    if (who.empty()) return;
    if (still >= options.timeout)
      group_.fail_and_throw(DeadlineExceeded(
          "{}: nothing from {} in {} ms\n{}", group_.describe_call(caller_), who,
          options.timeout.count(), explain_histories(group_.histories(), options.rank_names)));
    if (std::exchange(warned_, true)) return;
    say(stderr,
        fmt::format("warning: {}: nothing from {} for {} s\n", group_.describe_call(caller_), who,
                    std::chrono::floor<std::chrono::seconds>(still).count()));
  }

  void post() {
    const auto number = [this](int r) { return group_.options_.ranks[static_cast<size_t>(r)]; };
    cluster::WaitBoard::Group& board = *group_.board_;
    for_each_late([&](int rank) {
      posted_.push_back(
          board.post_rank(number(caller_.rank),
                          caller_.of_node ? board.call_name(caller_.meeting, awaited_.value)
                                          : board.rank_name(number(rank)),
                          group_.describe_call(caller_),
                          [awaited = awaited_, rank] { return !awaited.has_come(rank); }));
    });
  }

  const HostGroup& group_;
  const Awaited& awaited_;
  const Caller& caller_;
  const Clock::time_point begin_ = Clock::now();
  Clock::time_point next_look_ = begin_ + kLook;
  Clock::time_point still_since_ = begin_;
  uint64_t moves_ = 0;
  bool warned_ = false;
  std::vector<std::shared_ptr<void>> posted_;  ///< on the wait board
};

void HostGroup::wait_slowly(const Awaited& awaited, const Caller& caller) const {
  std::atomic<uint32_t>& counter = awaited.counters.of(awaited.peer);
  SlowWait wait(*this, awaited, caller);
  const int yields = oversubscribed_ ? kYieldsWhenCrowded : kYields;
  for (int n = 0; !awaited.has_come(awaited.peer); ++n) {
    expect_whole();
    if (n < yields) {
      sched_yield();
      continue;
    }
    const uint32_t seen = counter.load(std::memory_order_relaxed);
    head_->sleepers.fetch_add(1);
    if (!awaited.has_come(awaited.peer) && !failed()) futex_wait(counter, seen);
    head_->sleepers.fetch_sub(1);
    wait.look_around();
  }
}

void HostGroup::ring() const {
  const uint64_t one = 1;
  static_cast<void>(!::write(bell(), &one, sizeof one));
}

bool HostGroup::has_ended(int rank) const {
  const auto process = static_cast<size_t>(options_.process_of[static_cast<size_t>(rank)]);
  pollfd event{exchange_.peers[process].alive.get(), POLLIN, 0};
  return poll(&event, 1, 0) == 1;
}

void HostGroup::fail(const Error& error) const {
  uint32_t none = 0;
  if (!head_->failed.compare_exchange_strong(none, 1)) return;
  head_->code = static_cast<uint32_t>(error.code());
  const std::string message = error.what();
  const size_t bytes = std::min(message.size(), sizeof head_->message - 1);
  std::memcpy(head_->message, message.data(), bytes);
  head_->message[bytes] = '\0';
  head_->failed.store(2, std::memory_order_release);
}

void HostGroup::fail_and_throw(const Error& error) const {
  fail(error);
  expect_whole();
  throw Error(error);
}

void HostGroup::throw_failure() const {
  throw Error(static_cast<Code>(head_->code), head_->message);
}

std::string HostGroup::describe_rank(int rank) const {
  const auto r = static_cast<size_t>(rank);
  const auto process = static_cast<size_t>(options_.process_of[r]);
  return fmt::format("rank {} ({}, pid {})", options_.ranks[r], options_.process_names[process],
                     exchange_.peers[process].pid);
}

std::string HostGroup::describe_call(const Caller& caller) const {
  return fmt::format("{} #{} of {} {} on rank {} of {}", caller.what, caller.meeting, caller.count,
                     caller.unit, options_.ranks[static_cast<size_t>(caller.rank)],
                     options_.group_size);
}

}  // namespace cohort::distribute
