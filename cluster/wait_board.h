#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace cohort::cluster {

/// One that waits for another, both by names that all tasks use alike.
struct Wait {
  uint64_t id = 0;  ///< new for every wait of a process
  std::string from;
  std::string to;
  std::string what;  ///< for people; empty where another wait says it
};

/// The waits of this process that have lasted a while, for the leader, which finds those that can
/// never end (wait_graph.h), and how many calls of all tasks it has entered. A rank waits for a
/// call, and a call for the ranks that have not entered it: each says so of its own ranks, so no
/// wait is on the board because of data that is still under way. Thread-safe.
class WaitBoard {
 public:
  /// Whether a wait still is one, at this moment. Any thread may ask.
  using Lasts = std::function<bool()>;

  /// The ranks of a group that run in this process, as long as it lives. A process works for one
  /// of its groups at a time: while a rank of one waits, those of the others stand still.
  class Group {
   public:
    Group(std::shared_ptr<WaitBoard> board, std::string name, std::vector<int> ranks);
    ~Group();
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

    /// Who waits and is waited for: a rank, or one call of a collective.
    std::string rank_name(int rank) const;
    std::string call_name(size_t collective, uint32_t call) const;

    /// A wait is on the board as long as the result lives, which the group outlives, and `lasts`
    /// says so.
    std::shared_ptr<void> post_rank(int rank, std::string to, std::string what, Lasts lasts);
    std::shared_ptr<void> post_call(std::string call, std::string to, Lasts lasts);

   private:
    friend WaitBoard;
    std::shared_ptr<void> post(bool is_rank, Wait wait, Lasts lasts);

    const std::shared_ptr<WaitBoard> board_;
    const std::string name_;
    const std::vector<int> ranks_;
  };

  /// At most `most`: those of ranks first, then those of calls in the order in which they began.
  std::vector<Wait> waits(size_t most = SIZE_MAX) const;

  /// This process enters a call that every task must make, in the same order. By one thread.
  void enter_call() {
    calls_.store(calls_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  uint64_t calls() const { return calls_.load(std::memory_order_relaxed); }

  /// Whether a rank of this process waits.
  bool has_ranks() const;

  /// Data of one of this process's groups has moved; movements() counts. What waits for others of
  /// its groups meanwhile is not stuck.
  void note_movement() { movements_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t movements() const { return movements_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    const Group* group;
    bool is_rank;
    Wait wait;
    Lasts lasts;
  };

  mutable std::mutex mutex_;
  std::vector<const Group*> groups_;  // guarded by mutex_, as all below
  std::list<Entry> entries_;
  uint64_t last_id_ = 0;

  std::atomic<uint64_t> movements_{0};  // not guarded, as calls_
  std::atomic<uint64_t> calls_{0};
};

}  // namespace cohort::cluster
