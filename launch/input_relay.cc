#include "launch/input_relay.h"

#include <unistd.h>

#include <array>
#include <cerrno>

namespace cohort::launch {
namespace {

bool in_foreground() { return ::tcgetpgrp(STDIN_FILENO) == ::getpgrp(); }

}  // namespace

pollfd InputRelay::wanted(int to) const {
  if (to < 0) return {-1, 0, 0};
  if (!pending_.empty()) return {to, POLLOUT, 0};
  return in_foreground() ? pollfd{STDIN_FILENO, POLLIN, 0} : pollfd{-1, 0, 0};
}

bool InputRelay::move(const pollfd& ready, int to) {
  if (ready.fd == STDIN_FILENO) {
    std::array<char, 4096> buffer;
    const ssize_t size = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (size > 0) pending_.assign(buffer.data(), static_cast<size_t>(size));
    return size > 0 || (size < 0 && (errno == EINTR || errno == EAGAIN));
  }
  const ssize_t written = ::write(to, pending_.data(), pending_.size());
  if (written > 0) pending_.erase(0, static_cast<size_t>(written));
  return written >= 0 || errno == EINTR || errno == EAGAIN;
}

}  // namespace cohort::launch
