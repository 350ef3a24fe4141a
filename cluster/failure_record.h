#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cohort/core/chrono.h"
#include "cohort/core/error.h"

namespace cohort::cluster {

/// What a task says of its end to the launcher that started it.
struct FailureRecord {
  std::string task;  ///< "/job:worker/task:1"
  bool own = true;   ///< it began here; otherwise the cluster or another task told it
  Code code = Code::kUnknown;
  std::string text;     ///< clipped to kMaxText bytes
  int64_t time_ns = 0;  ///< since 1970, for the order of those of one host

  static constexpr size_t kMaxText = 2000;
};

/// One line without its end: JSON without control characters.
std::string to_line(const FailureRecord& record);
/// Nothing for a line that to_line did not make.
std::optional<FailureRecord> parse_failure_record(std::string_view line);

/// Where a record stands in other output (a worker on another host has no pipe to its launcher): a
/// string that terminals do not show, "ESC _ cohort-failure RECORD ESC \".
inline constexpr std::string_view kRecordBegin = "\033_cohort-failure ";
inline constexpr std::string_view kRecordEnd = "\033\\";

/// The variable by which a launcher says where records go: "NUMBER:INODE" is a pipe that the worker
/// inherits, "stderr" its standard error, marked as above.
inline constexpr const char* kFailurePipeVariable = "COHORT_FAILURE_PIPE";

}  // namespace cohort::cluster
