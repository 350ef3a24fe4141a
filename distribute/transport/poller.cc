#include "cohort/distribute/transport/poller.h"

#include <cerrno>

#include "cohort/core/system.h"

namespace cohort::distribute {

Poller::Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw system_error("network: epoll_create", errno);
}

void Poller::add(int descriptor, uint64_t id) {
  if (descriptor < 0) return;
  epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0)
    throw system_error("network: epoll_ctl", errno);
}

void Poller::change(int descriptor, uint64_t id, bool reads, bool writes) {
  if (descriptor < 0) return;
  const uint32_t events = (reads ? uint32_t{EPOLLIN} : 0) | (writes ? uint32_t{EPOLLOUT} : 0);
  epoll_event event{.events = events, .data = {.u64 = id}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor, &event);
}

void Poller::remove(int descriptor) {
  if (descriptor >= 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
}

std::span<const epoll_event> Poller::wait(int milliseconds) {
  const int count =
      epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), milliseconds);
  return {events_.data(), static_cast<size_t>(count > 0 ? count : 0)};
}

}  // namespace cohort::distribute
