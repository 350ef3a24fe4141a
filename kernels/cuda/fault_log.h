#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cohort/core/error.h"
#include "cohort/kernels/cuda/fault.h"
#include "cohort/kernels/cuda/streams.h"

namespace cohort::cuda {

/// Bad data found by kernels of one device, which cannot throw: they write a Fault, and whoever
/// waits for the device gets it as an Error. Thread-safe.
class FaultLog {
 public:
  explicit FaultLog(std::shared_ptr<Streams> streams);

  /// The number by which kernels report `code` and `message`, in which {got}, {index} and {limit}
  /// stand for the fault's numbers. Equal sites share a number.
  int add_site(Code code, const std::string& message);
  Fault* device() const { return static_cast<Fault*>(memory_.get()); }
  /// From now on the replicas on both devices take steps together: a fault of one becomes one of
  /// the other (op "StepVeto"), and whoever sees either clears both. `peer` outlives this.
  void join(FaultLog& peer);
  /// Waits for the compute stream. Throws what its kernels have found since the last call: for what
  /// kernels elsewhere have found, the error of the peer that has it, or else Cancelled.
  void check();

 private:
  std::optional<Error> take();

  struct Site {
    Code code;
    std::string message;
  };

  std::shared_ptr<Streams> streams_;
  std::shared_ptr<void> memory_;
  Handle<Fault*, cudaFreeHost> seen_;  // pinned
  std::mutex mutex_;                   // guards what seen_ points to and the members below
  std::vector<Site> sites_;            // site n is sites_[n - 1]
  std::map<std::string, int> numbers_;
  std::set<FaultLog*> peers_;
};

}  // namespace cohort::cuda
