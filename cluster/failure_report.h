#pragma once

#include "cohort/cluster/environment.h"
#include "cohort/cluster/failure_record.h"

namespace cohort::cluster {

/// Where this process tells its launcher why it ends; nowhere when the launcher has not said.
/// Thread-safe.
class FailureReport {
 public:
  /// Reads kFailurePipeVariable. A pipe that this process did not inherit is none; one that it did
  /// is closed in the programs that it executes.
  explicit FailureReport(const Environment& environment);

  /// Writes the record at once, whole, with the time of now. Never blocks for long, and never
  /// throws: a launcher that has gone is told nothing.
  void write(FailureRecord record) const noexcept;

 private:
  int descriptor_ = -1;
  bool marked_ = false;  ///< among other output
};

}  // namespace cohort::cluster
