#include "launch/supervisor.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace cohort::launch {
namespace {

// Before anything is forked: children undo it.
Descriptor block_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) ::sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Descriptor descriptor(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!descriptor.open())
    throw ResourceExhausted("cohort-launch: no signalfd: {}", std::strerror(errno));
  return descriptor;
}

}  // namespace

Supervisor::Supervisor(SupervisorOptions options) : options_(options), signals_(block_signals()) {}

Outcome Supervisor::run(const std::vector<Process>& processes) {
  failure_.reset();
  kill_at_.reset();
  try {
    start(processes);
    while (any_running()) wait_for_events();
  } catch (...) {
    signal_all(SIGKILL);
    throw;
  }
  flush();
  children_.clear();
  return {.code = failure_ ? failure_->code : 0, .interrupted = signal_.has_value()};
}

void Supervisor::start(const std::vector<Process>& processes) {
  for (const Process& process : processes) {
    children_.emplace_back(process, out_, err_);
    keeper_.add(children_.back().pid());
  }
}

void Supervisor::wait_for_events() {
  std::vector<pollfd> polled = {{signals_.get(), POLLIN, 0}};
  for (const Sink* sink : {&out_, &err_})
    if (!sink->empty()) polled.push_back({sink->descriptor(), POLLOUT, 0});
  for (const Child& child : children_) {
    if (child.out() >= 0 && !out_.full()) polled.push_back({child.out(), POLLIN, 0});
    if (child.err() >= 0 && !err_.full()) polled.push_back({child.err(), POLLIN, 0});
  }
  int timeout = -1;
  if (kill_at_)
    timeout = static_cast<int>(std::max<long>(
        0, std::chrono::ceil<std::chrono::milliseconds>(*kill_at_ - Clock::now()).count()));
  if (::poll(polled.data(), polled.size(), timeout) < 0 && errno != EINTR)
    throw Internal("cohort-launch: poll: {}", std::strerror(errno));

  for (const pollfd& ready : polled) {
    if (ready.revents == 0) continue;
    for (Sink* sink : {&out_, &err_})
      if (ready.fd == sink->descriptor()) sink->write_some();
    for (Child& child : children_)
      if (ready.fd == child.out() || ready.fd == child.err()) child.read(ready.fd);
  }
  if (polled[0].revents != 0) read_signals();
  reap();
  if (kill_at_ && Clock::now() >= *kill_at_) {
    signal_all(SIGKILL);
    kill_at_.reset();
  }
}

void Supervisor::read_signals() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) continue;
    signal_all(signal_ ? SIGKILL : signal);
    if (!signal_) {
      say(fmt::format("passed {} on to the workers; they have {} s", ::strsignal(signal),
                      options_.signal_grace.count() / 1000));
      kill_at_ = Clock::now() + options_.signal_grace;
    }
    signal_ = signal;
  }
}

void Supervisor::reap() {
  for (Child& child : children_) {
    const pid_t pid = child.pid();
    const std::optional<Ending> ending = child.reap();
    if (!ending) continue;
    keeper_.remove(pid);
    if (ending->code != 0 && !failure_) fail(child, *ending);
  }
}

void Supervisor::fail(const Child& child, const Ending& ending) {
  failure_ = ending;
  const std::string lines = child.last_lines();
  say(fmt::format("{} failed: {}{}", child.name(), ending.text,
                  lines.empty() ? "" : "; its last lines:\n" + lines));
  if (signal_) return;  // all have been asked to end, and have their time
  signal_all(SIGTERM);
  kill_at_ = Clock::now() + options_.failure_grace;
}

void Supervisor::signal_all(int signal) {
  for (Child& child : children_) child.signal(signal);
}

// What is left of the output, while its reader takes it.
void Supervisor::flush() {
  for (Sink* sink : {&out_, &err_}) {
    pollfd polled = {sink->descriptor(), POLLOUT, 0};
    while (!sink->empty() && ::poll(&polled, 1, 5000) > 0) sink->write_some();
  }
}

void Supervisor::say(const std::string& line) {
  err_.append("cohort-launch: " + line + (line.ends_with('\n') ? "" : "\n"));
}

bool Supervisor::any_running() const {
  return std::any_of(children_.begin(), children_.end(),
                     [](const Child& child) { return child.running(); });
}

}  // namespace cohort::launch
