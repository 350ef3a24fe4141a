#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace cohort {

/// Canonical error codes (the gRPC set). Unavailable: a peer is gone, recover. Aborted: restore the
/// last checkpoint. Anything else stops the program with the message.
enum class Code {
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
};

/// "InvalidArgument", "NotFound", …
std::string_view code_name(Code code);

/// The one exception of Cohort. what() is `where: what was got; what is wanted`.
class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}

  Code code() const { return code_; }

  /// The same error; its message begins with `where: ` (a layer's name, a rank), but once.
  Error within(std::string_view where) const;

 private:
  Code code_;
};

namespace internal {
Error make_error(Code code, fmt::string_view format, fmt::format_args args);
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace internal

/// `throw InvalidArgument("bias_add: got {}; want {}", x, y)`: one function per code.
template <class... Args>
Error InvalidArgument(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kInvalidArgument, format, fmt::make_format_args(args...));
}
template <class... Args>
Error NotFound(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kNotFound, format, fmt::make_format_args(args...));
}
template <class... Args>
Error AlreadyExists(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kAlreadyExists, format, fmt::make_format_args(args...));
}
template <class... Args>
Error FailedPrecondition(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kFailedPrecondition, format, fmt::make_format_args(args...));
}
template <class... Args>
Error OutOfRange(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kOutOfRange, format, fmt::make_format_args(args...));
}
template <class... Args>
Error Unimplemented(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kUnimplemented, format, fmt::make_format_args(args...));
}
template <class... Args>
Error Internal(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kInternal, format, fmt::make_format_args(args...));
}
template <class... Args>
Error Unavailable(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kUnavailable, format, fmt::make_format_args(args...));
}
template <class... Args>
Error DeadlineExceeded(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kDeadlineExceeded, format, fmt::make_format_args(args...));
}
template <class... Args>
Error ResourceExhausted(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kResourceExhausted, format, fmt::make_format_args(args...));
}
template <class... Args>
Error DataLoss(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kDataLoss, format, fmt::make_format_args(args...));
}
template <class... Args>
Error Aborted(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kAborted, format, fmt::make_format_args(args...));
}
template <class... Args>
Error Cancelled(fmt::format_string<Args...> format, Args&&... args) {
  return internal::make_error(Code::kCancelled, format, fmt::make_format_args(args...));
}

}  // namespace cohort

/// For our own bugs only: throws Internal naming the condition and the line.
#define COHORT_CHECK(condition) \
  ((condition) ? (void)0 : ::cohort::internal::check_failed(#condition, __FILE__, __LINE__))
