#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <vector>

#include "cohort/core/runtime/recorded_step.h"
#include "cohort/distribute/workers.h"

namespace cohort::distribute {

/// Decides when a step of several ranks runs as a recording. Ranks must be alike in that (a
/// captured collective of NCCL meets captured ones only), so the decision comes from what every
/// process knows: the numbers by which all replicas' executables are chosen. With the environment
/// variable COHORT_CHECK_RANKS=1 the processes compare it at every step.
class StepRecording {
 public:
  explicit StepRecording(Workers& workers);

  /// Whether the step with these numbers has run before on every rank, and recording was not given
  /// up.
  bool may_record(std::span<const int64_t> numbers) const;
  /// To be called by every process when its ranks have tried to record one step. True when all
  /// ranks of all processes have; else nothing is recorded any more, which is said once on standard
  /// error where there is a reason. Collective.
  bool all_recorded(std::span<const RecordingOutcome> mine);
  /// The step with these numbers has run; `replayed`: as a recording. Collective in the comparing
  /// mode: FailedPrecondition, on every process, where they differ.
  void note_run(std::span<const int64_t> numbers, bool replayed);
  /// After a failure: every step runs kernel by kernel first.
  void forget() { seen_.clear(); }

 private:
  Workers& workers_;
  const bool compares_;
  bool given_up_ = false;
  /// Latest first. No longer than what a program keeps of its executables for certain
  /// (CacheLimits::least): those of a step that is in here are there on every rank.
  std::list<std::vector<int64_t>> seen_;
};

}  // namespace cohort::distribute
