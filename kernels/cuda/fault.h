#pragma once

#include <cstdint>

namespace cohort::cuda {

/// The first piece of bad data that a kernel met since the host last looked. It lies in device
/// memory; commit kernels change nothing while it is set, so the state stays whole.
struct Fault {
  /// The site of what another replica failed at (op "StepVeto").
  static constexpr int32_t kElsewhere = INT32_MAX;

  int32_t site;  ///< 0: none. Who found it (FaultLog::add_site)
  int32_t reserved;
  int64_t got;
  int64_t index;  ///< where: a row, a position
  int64_t limit;  ///< the largest that is allowed; the least is 0
};

}  // namespace cohort::cuda
