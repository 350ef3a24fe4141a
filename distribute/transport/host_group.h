#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cohort/cluster/wait_board.h"
#include "cohort/core/chrono.h"
#include "cohort/core/dtype.h"
#include "cohort/core/error.h"
#include "cohort/core/runtime/spin_wait.h"
#include "cohort/distribute/transport/host_exchange.h"
#include "cohort/distribute/transport/meeting.h"

namespace cohort::distribute {

/// Who waits, for messages.
struct Caller {
  const char* what;  ///< "all_reduce"
  int rank;          ///< position on this host
  size_t meeting;
  int64_t count;
  const char* unit;      ///< "float32", "bytes"
  bool of_node = false;  ///< waits for its node's progress thread
};

/// One counter of every rank of the host, at equal distances.
struct RankCounters {
  std::atomic<uint32_t>* first;
  size_t distance;  ///< bytes; 0: one for all

  std::atomic<uint32_t>& of(int rank) const {
    return *reinterpret_cast<std::atomic<uint32_t>*>(reinterpret_cast<char*>(first) +
                                                     static_cast<size_t>(rank) * distance);
  }
};

struct HostGroupOptions {
  std::vector<int> ranks;       ///< numbers of the ranks of this host in the whole group
  int group_size = 0;           ///< ranks on all hosts
  std::vector<int> process_of;  ///< of each rank of this host, a position in process_names
  int process = 0;
  std::vector<std::string> process_names;  ///< of this host
  std::vector<std::string> rank_names;     ///< of the whole group
  cluster::KeyValueStore* store = nullptr;
  std::string key;
  std::string group_name;  ///< the same on all hosts
  int node = 0;            ///< this host among the group's
  std::shared_ptr<cluster::WaitBoard> wait_board = nullptr;
  std::chrono::milliseconds startup_timeout{};  ///< for the processes to find each other
  std::chrono::milliseconds timeout{};
  std::chrono::milliseconds warn_after{};
};

/// The ranks of one host: their control file, each other's memory, and how they wait. One object
/// for each process. Ranks are numbered by their position on the host. Thread-safe.
class HostGroup {
 public:
  /// Collective among the processes of the host; throws as exchange_on_host.
  explicit HostGroup(HostGroupOptions options);

  int size() const { return static_cast<int>(layout_.ranks); }
  const HostGroupOptions& options() const { return options_; }
  const ControlLayout& layout() const { return layout_; }
  const std::shared_ptr<SharedHeap>& heap() const { return heap_; }

  /// The lines of a meeting, and behind them its slots when `with_slots`.
  std::shared_ptr<char> map_meeting(size_t index, bool with_slots) const;
  /// `rank` has dropped a meeting; the last of all ranks gives its memory back. `lines`: of all.
  void leave_meeting(size_t index, RankLines* lines, int rank) const;
  /// Memory in the heap of `rank`'s process.
  std::shared_ptr<char> map_buffer(int rank, uint64_t location, size_t bytes) const;
  WindowLines& window_lines(int rank) const;
  RankFlight& flight(int rank) const;
  /// What the ranks of this host did last.
  std::vector<RankHistory> histories() const;
  /// The slot of window round `round` of `rank`. Made on the first use.
  char* window_slot(int rank, uint64_t round) const;
  /// Maps the windows; before window_slot.
  void map_windows();

  /// Stores `value` and wakes who sleeps on the counter.
  void signal(std::atomic<uint32_t>& counter, uint32_t value) const {
    counter.store(value, std::memory_order_release);
    if (oversubscribed_) std::atomic_thread_fence(std::memory_order_seq_cst);
    if (head_->sleepers.load(std::memory_order_relaxed) != 0) wake(counter);
  }
  /// Returns when the counter has reached `value`, which is for `peer` to bring about. Throws
  /// DeadlineExceeded naming the peer when nothing has moved for the timeout, Unavailable when its
  /// process has ended, and what the group failed with; the group has failed then.
  void wait_for(std::atomic<uint32_t>& counter, uint32_t value, int peer,
                const Caller& caller) const {
    wait_for({.counters = {&counter, 0}, .value = value, .peer = peer, .end = peer + 1}, caller);
  }
  /// The same for the counters of all other ranks of the host.
  void wait_for_others(const RankCounters& counters, uint32_t value, const Caller& caller) const {
    for (int peer = 0; peer < size(); ++peer)
      if (peer != caller.rank)
        wait_for({.counters = counters, .value = value, .peer = peer, .end = size()}, caller);
  }

  /// Data of this host's ranks moves: what they wait for is under way.
  void note_movement() const { head_->moves.fetch_add(1, std::memory_order_relaxed); }

  /// The group has failed with `error`, unless it had failed before: ends every wait on the host.
  void fail(const Error& error) const;
  bool failed() const { return head_->failed.load(std::memory_order_acquire) == 2; }
  [[noreturn]] void throw_failure() const;
  /// Throws what the group failed with, if it has. First in every start: what a rank began after
  /// its abort would complete calls of the others.
  void expect_whole() const {
    if (failed()) throw_failure();
  }
  /// fail(error), then throws what the group failed with.
  [[noreturn]] void fail_and_throw(const Error& error) const;

  /// Wakes the progress thread of the host's first process.
  void ring() const;
  /// What ring() makes readable.
  int bell() const { return exchange_.peers.front().bell.get(); }
  /// The group's part of the wait board; null without one.
  cluster::WaitBoard::Group* board() const { return board_.get(); }
  bool is_first_process() const { return options_.process == 0; }
  /// The process of this rank has ended.
  bool has_ended(int rank) const;

  /// "rank 3 (worker 1, pid 77)"
  std::string describe_rank(int rank) const;
  /// "all_reduce #4 of 1000 float32 on rank 1 of 4"
  std::string describe_call(const Caller& caller) const;

 private:
  class SlowWait;
  /// That the counter of `peer` reaches `value`; those of the ranks from it to `end` must, too.
  struct Awaited {
    RankCounters counters;
    uint32_t value;
    int peer, end;

    bool has_come(int rank) const { return reached(counters.of(rank), value); }
  };

  void wait_for(const Awaited& awaited, const Caller& caller) const {
    for (int i = 0; i < spins_; ++i) {
      if (awaited.has_come(awaited.peer)) return;
      spin_pause();
    }
    wait_slowly(awaited, caller);
  }
  void wait_slowly(const Awaited& awaited, const Caller& caller) const;
  void wake(std::atomic<uint32_t>& counter) const;
  uint64_t movements() const;

  const HostGroupOptions options_;
  const ControlLayout layout_;
  std::shared_ptr<SharedHeap> heap_;
  HostExchange exchange_;
  std::unique_ptr<cluster::WaitBoard::Group> board_;
  bool oversubscribed_ = false;
  int spins_ = 0;
  std::shared_ptr<char> head_memory_;
  ControlHead* head_ = nullptr;
  std::mutex mutex_;
  std::vector<std::shared_ptr<char>> windows_;  // made under mutex_
};

}  // namespace cohort::distribute
