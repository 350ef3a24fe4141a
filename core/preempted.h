#pragma once

#include <string>

#include "cohort/core/error.h"

namespace cohort {

/// A program that was asked to end has saved, and ends to be started again: run_program() returns
/// kExitCode for it, by which a launcher or a queue tells it from a failure.
class Preempted : public Error {
 public:
  static constexpr int kExitCode = 75;  ///< EX_TEMPFAIL of sysexits.h: try again later

  explicit Preempted(const std::string& message) : Error(Code::kAborted, message) {}
};

}  // namespace cohort
