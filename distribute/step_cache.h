#pragma once

#include <list>
#include <memory>
#include <optional>

#include "core/trace/step_metrics.h"
#include "distribute/strategy.h"

namespace cohort::distribute {

/// The functions that a strategy has run, traced and bound to its replicas; the latest 64
/// signatures are kept.
class StepCache {
 public:
  struct Entry {
    Function function;
    Signature signature;
    std::vector<bool> shared;
    size_t num_outputs = 0;
    std::unique_ptr<StepRunner> runner;
    int64_t step = 0;
    std::vector<data::Element> elements;      ///< of each replica, reused between runs
    std::optional<StepMetrics> metrics = {};  ///< when they are served
  };

  /// Traces and binds on first use. `shared`: which arguments are the same on every replica.
  Entry& find(const Strategy& strategy, const Function& function, const Signature& signature,
              const std::vector<bool>& shared);

 private:
  std::list<Entry> entries_;  ///< latest used first
};

}  // namespace cohort::distribute
