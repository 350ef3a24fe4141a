#include "cohort/core/error.h"

#include <array>

namespace cohort {

std::string_view code_name(Code code) {
  static constexpr std::array<std::string_view, 16> kNames = {
      "Ok",       "Cancelled",     "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",    "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss"};
  return kNames[static_cast<size_t>(code)];
}

Error Error::within(std::string_view where) const {
  const std::string prefix = std::string(where) + ": ";
  return std::string_view(what()).starts_with(prefix) ? *this : Error(code_, prefix + what());
}

namespace internal {

Error make_error(Code code, fmt::string_view format, fmt::format_args args) {
  return Error(code, fmt::vformat(format, args));
}

void check_failed(const char* condition, const char* file, int line) {
  throw Internal("{}:{}: check failed: {}; this is a bug in Cohort", file, line, condition);
}

}  // namespace internal
}  // namespace cohort
