#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "cohort/core/runtime/recently_used.h"
#include "cohort/core/trace/step_metrics.h"
#include "cohort/distribute/strategy.h"

namespace cohort::distribute {

/// The functions that a strategy has run, traced and bound to its replicas. A function is not kept
/// alive: it may hold models, and they the strategy. Thread-safe.
class StepCache {
 public:
  /// Guarded by the runner's turn, but for what does not change.
  struct Step {
    size_t num_outputs = 0;
    std::unique_ptr<StepRunner> runner;
    std::vector<data::Element> elements;      ///< of each replica, reused between runs
    std::optional<StepMetrics> metrics = {};  ///< when they are served
  };

  /// Traces and binds on first use. `shared`: which arguments are the same on every replica.
  std::shared_ptr<Step> find(const Strategy& strategy, const Function& function,
                             const Signature& signature, const std::vector<bool>& shared);

 private:
  struct Entry {
    std::weak_ptr<const void> function;
    Signature signature;
    std::vector<bool> shared;
    std::shared_ptr<Step> step;
    size_t num_bytes() const { return step->runner->num_bytes(); }
  };

  std::mutex mutex_;
  RecentlyUsed<Entry> entries_;  // guarded by mutex_
};

}  // namespace cohort::distribute
