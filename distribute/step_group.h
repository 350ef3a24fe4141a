#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "cohort/core/runtime/communicator.h"
#include "cohort/distribute/workers.h"

namespace cohort::distribute {

/// This process' ranks in a group, with the steps that have prepared collectives in it. What ends
/// the group ends all of them.
class GroupRanks {
 public:
  /// None where one device is alone. `workers` end the waits.
  GroupRanks(std::vector<std::unique_ptr<Communicator>> communicators, Workers& workers);

  bool empty() const { return communicators_.empty(); }
  /// Of the i-th device; null where it is alone.
  Communicator* of(size_t device) const { return empty() ? nullptr : communicators_[device].get(); }
  /// Sent between hosts by this process.
  uint64_t network_bytes() const;

  /// A step has recordings with the group's collectives, which `drop` drops, as long as the result
  /// lives.
  std::shared_ptr<void> add_step(std::function<void()> drop);
  /// After a failure, when no step runs: drops all recordings, and makes the group usable again.
  /// False where it cannot be.
  bool recover();

 private:
  std::vector<std::unique_ptr<Communicator>> communicators_;
  std::vector<std::shared_ptr<void>> watches_;
  std::mutex mutex_;
  std::list<std::function<void()>> drops_;  // guarded by mutex_
};

/// The one group that serves all steps of a strategy: made for the first of them, and again after a
/// step whose ranks did not all prepare the same. Used by a thread that has the turns of the
/// devices.
class StepGroup {
 public:
  using Communicators = std::vector<std::unique_ptr<Communicator>>;

  /// `make`: this process' communicators; collective. `workers` outlive this.
  StepGroup(std::function<Communicators()> make, Workers& workers)
      : make_(std::move(make)), workers_(workers) {}

  /// Calls `prepare` with the group. When that throws, the group is the last one's that uses it.
  template <class Prepare>
  void prepare_in(Prepare&& prepare) {
    if (!ranks_) ranks_ = std::make_shared<GroupRanks>(make_(), workers_);
    try {
      prepare(ranks_);
    } catch (...) {
      ranks_ = nullptr;
      throw;
    }
  }

 private:
  const std::function<Communicators()> make_;
  Workers& workers_;
  std::shared_ptr<GroupRanks> ranks_;
};

}  // namespace cohort::distribute
