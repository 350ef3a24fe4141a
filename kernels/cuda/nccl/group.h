#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/core/runtime/job_group.h"
#include "cohort/kernels/cuda/nccl/library.h"

namespace cohort::cuda {

/// The bytes that each rank gives to one gather; negative until its rank has prepared it.
struct GatherSizes {
  explicit GatherSizes(size_t ranks);
  std::vector<std::atomic<int64_t>> bytes;
};

/// What the ranks that this process has in one group of NCCL share. Thread-safe, but for reset().
///
/// How a group ends: abort() notes the error, after which no call of NCCL begins, and leaves the
/// rest to a thread of the group's own, because ncclCommAbort returns only when every captured
/// graph with the group's collectives is destroyed. These belong to steps, whose threads are
/// meanwhile ended by watch() and drop their recordings.
class Group {
 public:
  static constexpr std::chrono::minutes kTimeout{10};

  /// All ranks are here, on the devices of these ordinals.
  Group(std::vector<int> ordinals, CombineOrder order, int num_replicas,
        std::chrono::milliseconds timeout = kTimeout);
  /// Other processes have the other ranks. No call of NCCL blocks: what it has taken over is waited
  /// for in settle(), which sees the deadline and the job's failure.
  Group(std::vector<int> ordinals, const JobGroup& job);
  /// Waits for the end of an abort.
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  int size() const { return num_ranks_; }
  int num_replicas() const { return num_replicas_; }
  const CombineOrder& order() const { return order_; }

  /// Calls `work` with the communicator of `rank`; when it returns, NCCL has enqueued the work.
  template <class Work>
  void submit(int rank, Work&& work) {
    {
      const Call call(*this);
      // Calls of a job's communicators do not block, and are made one at a time.
      std::unique_lock<std::mutex> turn;
      if (job_) turn = std::unique_lock(calls_mutex_);
      work(comm(rank));
    }
    if (job_) settle(rank, "collective");
  }

  /// Returns at once.
  void abort(const Error& error);
  /// After abort(), when no rank is inside a call and no recording is left: the same ranks with new
  /// communicators. False for a job's group, and where NCCL cannot: later calls throw why.
  bool reset();
  bool is_aborted() const { return aborted_.load(); }
  /// What the group was aborted with.
  [[noreturn]] void throw_failure();

  /// Ends a wait on `rank` that cannot end by itself, by throwing.
  void watch(int rank, std::chrono::milliseconds waited);

  /// The n-th gather of every rank is one, as long as a rank has it. With other processes:
  /// collective.
  std::shared_ptr<GatherSizes> next_gather(int rank, size_t bytes);

 private:
  /// The communicators stay while it lives. Throws where the group is aborted.
  class Call {
   public:
    explicit Call(Group& group) : group_(group) {
      group_.calls_.fetch_add(1);
      if (!group_.aborted_.load()) return;
      group_.calls_.fetch_sub(1);
      group_.throw_failure();
    }
    ~Call() { group_.calls_.fetch_sub(1); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    Group& group_;
  };

  size_t local(int rank) const { return static_cast<size_t>(rank - first_rank_); }
  ncclComm_t comm(int rank) const { return comms_[local(rank)]; }

  void start_alone();
  void join(const JobGroup& job);
  ncclResult_t state_of(int rank);
  void settle(int rank, const char* what);
  void watch(int rank, ncclResult_t state, std::chrono::milliseconds waited, const char* what);
  std::shared_ptr<GatherSizes> gather_of(int rank);
  bool finalize();
  void end_communicators();

  const std::vector<int> ordinals_;  // of the ranks here
  const CombineOrder order_;
  const int num_replicas_;
  const std::optional<JobGroup> job_;
  const int first_rank_ = 0;
  const int num_ranks_;
  const std::chrono::milliseconds timeout_;
  std::vector<ncclComm_t> comms_;  // of the ranks here
  std::atomic<int> calls_{0};      // of NCCL, that are under way
  std::mutex calls_mutex_;
  std::atomic<bool> aborted_{false};
  std::mutex mutex_;
  std::optional<Error> error_;                            // guarded by mutex_
  std::thread ending_;                                    // guarded by mutex_
  std::vector<size_t> prepared_;                          // guarded by mutex_
  std::map<size_t, std::weak_ptr<GatherSizes>> gathers_;  // guarded by mutex_, by number
};

}  // namespace cohort::cuda
