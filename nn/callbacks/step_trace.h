#pragma once

#include <string>

#include "cohort/nn/callback.h"

namespace cohort::nn {

/// Records when every node of some steps ran on every device of every worker, and writes them on
/// one time line, for chrome://tracing or https://ui.perfetto.dev. The workers' clocks are compared
/// when the steps have been recorded. Recorded steps are slower: on a GPU each kernel is waited
/// for. Every worker must have the callback.
/// Throws InvalidArgument for a number of steps below 1 or a first step below 0, Unavailable (from
/// fit, on the chief) when the file cannot be written.
struct StepTrace {
  std::string path = "trace.json";  ///< written by the chief
  /// The first step recorded, from 0 at the beginning of fit; the earliest steps are not typical.
  int64_t first_step = 10;
  int64_t num_steps = 3;

  operator Callback() const;
};

}  // namespace cohort::nn
