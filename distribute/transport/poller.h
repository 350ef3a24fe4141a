#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <span>

#include "cohort/distribute/transport/file_descriptor.h"

namespace cohort::distribute {

/// Descriptors that one thread waits for, each under a number of its user's. Level-triggered. Where
/// a descriptor is -1 (a connection that has none), nothing is done.
class Poller {
 public:
  /// Throws Unavailable or ResourceExhausted, as the system says.
  Poller();

  /// To be told of what comes.
  void add(int descriptor, uint64_t id);
  void change(int descriptor, uint64_t id, bool reads, bool writes);
  void remove(int descriptor);
  /// Waits for at most so many milliseconds. What it returns stays until the next call.
  std::span<const epoll_event> wait(int milliseconds);

 private:
  FileDescriptor epoll_;
  std::array<epoll_event, 64> events_;
};

}  // namespace cohort::distribute
