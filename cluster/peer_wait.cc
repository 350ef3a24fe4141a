#include "cohort/cluster/peer_wait.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "cohort/core/system.h"
#include "cohort/core/terminal.h"

namespace cohort::cluster {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kPatienceForReason(2000);

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

PeerWait::PeerWait(PeerWaitOptions options)
    : options_(std::move(options)),
      begin_(Clock::now()),
      next_report_(begin_ + options_.report_after),
      bell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (bell_ < 0) throw system_error(options_.where, errno);
  watch_ = options_.store->watch([bell = bell_](const Error&) {
    const uint64_t one = 1;
    static_cast<void>(!write(bell, &one, sizeof one));
  });
}

PeerWait::~PeerWait() {
  options_.store->unwatch(watch_);
  close(bell_);
}

milliseconds PeerWait::left() const {
  const auto left = begin_ + options_.timeout - Clock::now();
  return std::max(std::chrono::ceil<milliseconds>(left), milliseconds(0));
}

milliseconds PeerWait::until_check() const {
  const auto report = std::chrono::ceil<milliseconds>(next_report_ - Clock::now());
  return std::max(std::min(left(), report), milliseconds(1));
}

void PeerWait::check(const Awaited& awaited) {
  if (const auto error = options_.store->error()) throw Error(*error);
  if (is_over())
    throw DeadlineExceeded("{}: waited {} ms in vain for {}", options_.where,
                           options_.timeout.count(), awaited());
  const auto now = Clock::now();
  if (now < next_report_) return;
  next_report_ = now + options_.report_every;
  const std::string line =
      fmt::format("warning: {} waits ({:.0f} of {:.0f} s) for {}", options_.where,
                  seconds(now - begin_), seconds(options_.timeout), awaited());
  if (options_.log)
    options_.log(line);
  else
    say(stderr, line + "\n");
}

void PeerWait::sleep(std::span<pollfd> events, milliseconds longest) {
  std::vector<pollfd> all(events.begin(), events.end());
  all.push_back({.fd = bell_, .events = POLLIN, .revents = 0});
  const int time = static_cast<int>(std::min<int64_t>(longest.count(), 1 << 30));
  if (::poll(all.data(), all.size(), time) < 0)
    for (pollfd& event : all) event.revents = 0;  // a signal
  for (size_t i = 0; i < events.size(); ++i) events[i].revents = all[i].revents;
}

void PeerWait::poll(std::span<pollfd> events, const Awaited& awaited, milliseconds longest) {
  check(awaited);
  sleep(events, std::min(longest, until_check()));
  if (const auto error = options_.store->error()) throw Error(*error);
}

std::string PeerWait::get(const std::string& key, const Awaited& awaited) {
  while (true) {
    check(awaited);
    try {
      return options_.store->get(key, until_check());
    } catch (const Error& error) {
      if (error.code() != Code::kDeadlineExceeded || options_.store->error()) throw;
    }
  }
}

void PeerWait::give_up(const Error& error) {
  const auto until = Clock::now() + kPatienceForReason;
  while (Clock::now() < until && !options_.store->error())
    sleep({}, std::chrono::ceil<milliseconds>(until - Clock::now()));
  if (const auto reason = options_.store->error()) throw Error(*reason);
  throw Error(error);
}

}  // namespace cohort::cluster
