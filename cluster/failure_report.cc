#include "cohort/cluster/failure_report.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <exception>

namespace cohort::cluster {
namespace {

constexpr int kPatienceMs = 1000;  // of a pipe that its reader does not empty

/// The descriptor of "NUMBER:INODE" if that is the pipe: a program between the launcher and this
/// one may have closed it, and given its number to something else.
int find_pipe(std::string_view text) {
  int number = -1;
  uint64_t inode = 0;
  const char* end = text.data() + text.size();
  const auto [colon, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || colon == end || *colon != ':') return -1;
  if (std::from_chars(colon + 1, end, inode).ptr != end) return -1;
  struct stat about {};
  if (::fstat(number, &about) != 0 || !S_ISFIFO(about.st_mode) || about.st_ino != inode) return -1;
  ::fcntl(number, F_SETFD, FD_CLOEXEC);
  return number;
}

void write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd ready{descriptor, POLLOUT, 0};
    if (::poll(&ready, 1, kPatienceMs) <= 0 || (ready.revents & POLLERR) != 0) return;
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

FailureReport::FailureReport(const Environment& environment) {
  const std::string where = environment.get(kFailurePipeVariable).value_or("");
  marked_ = where == "stderr";
  descriptor_ = marked_ ? STDERR_FILENO : find_pipe(where);
}

void FailureReport::write(FailureRecord record) const noexcept {
  if (descriptor_ < 0) return;
  try {
    record.time_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
    std::string line = to_line(record);
    if (marked_) line = std::string(kRecordBegin) + line + std::string(kRecordEnd);
    write_all(descriptor_, line + "\n");
  } catch (const std::exception&) {  // no memory: the exit code speaks
  }
}

}  // namespace cohort::cluster
