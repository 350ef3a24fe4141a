#include "launch/supervisor.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "cohort/core/error.h"

namespace cohort::launch {
namespace {

// While a clock runs it is looked at after each nap; two looks much further apart mean that the
// launcher was stopped in between.
constexpr std::chrono::milliseconds kNap(100);
constexpr std::chrono::milliseconds kStopped(1000);

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

// Before anything is forked: children undo it. What was ignored at the start stays ignored, here
// and in the workers: SIGHUP under nohup, SIGINT in a shell's background.
Descriptor block_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT})
    if (!is_ignored(signal)) ::sigaddset(&set, signal);
  ::signal(SIGCHLD, SIG_DFL);  // ignored, it would reap by itself
  ::sigaddset(&set, SIGCHLD);
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
  first_failure_.reset();
  culprit_.reset();
  culprit_ending_.reset();
  decide_at_.reset();
  kill_at_.reset();
  try {
    start(processes);
    last_look_ = Clock::now();
    while (any_running()) wait_for_events();
  } catch (...) {
    signal_all(SIGKILL);
    throw;
  }
  if (first_failure_ && !culprit_) decide();
  flush();
  const Outcome outcome{.code = exit_code(), .interrupted = signal_.has_value()};
  children_.clear();
  return outcome;
}

void Supervisor::start(const std::vector<Process>& processes) {
  for (const Process& process : processes) {
    children_.emplace_back(process, out_, err_);
    keeper_.add(children_.back().pid());
  }
}

void Supervisor::wait_for_events() {
  std::vector<pollfd> polled = {{signals_.get(), POLLIN, 0},
                                input_.wanted(children_.front().input())};
  for (const Sink* sink : {&out_, &err_})
    if (!sink->empty()) polled.push_back({sink->descriptor(), POLLOUT, 0});
  for (const Child& child : children_)
    for (const auto& [descriptor, sink] : child.sources())
      if (descriptor >= 0 && !(sink && sink->full())) polled.push_back({descriptor, POLLIN, 0});
  const bool timed = decide_at_ || kill_at_;
  const int timeout = timed ? static_cast<int>(kNap.count()) : -1;
  if (!timed) last_look_ = Clock::time_point::max();
  if (::poll(polled.data(), polled.size(), timeout) < 0 && errno != EINTR)
    throw Internal("cohort-launch: poll: {}", std::strerror(errno));

  if (polled[1].revents != 0) relay_input(polled[1]);
  for (size_t i = 2; i < polled.size(); ++i) {
    const pollfd& ready = polled[i];
    if (ready.revents == 0) continue;
    for (Sink* sink : {&out_, &err_})
      if (ready.fd == sink->descriptor()) sink->write_some();
    for (Child& child : children_) child.read(ready.fd);
  }
  if (polled[0].revents != 0) read_signals();
  reap();
  keep_time();
}

void Supervisor::relay_input(const pollfd& ready) {
  Child& child = children_.front();
  if (!input_.move(ready, child.input())) child.close_input();
}

void Supervisor::read_signals() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    const int signal = static_cast<int>(info.ssi_signo);
    switch (signal) {
      case SIGCHLD:
        break;
      case SIGUSR1:
      case SIGUSR2:
      case SIGCONT:
        signal_all(signal);
        break;
      case SIGTSTP:
        suspend();
        break;
      default:
        pass_on(signal);
    }
  }
}

void Supervisor::pass_on(int signal) {
  signal_all(signal_ ? SIGKILL : signal);
  signal_all(SIGCONT);  // a stopped worker would not hear of it
  if (!signal_) {
    say(fmt::format("passed {} on to the workers; they have {} s", ::strsignal(signal),
                    options_.signal_grace.count() / 1000));
    kill_at_ = Clock::now() + options_.signal_grace;
  }
  signal_ = signal;
}

// The workers first. They are stopped rather than asked to stop: a part of a job that goes on would
// take the rest for dead. SIGCONT, which ends the launcher's own stop, is passed on to them.
void Supervisor::suspend() {
  const auto remote = [](const Child& child) { return child.remote() && child.running(); };
  if (std::any_of(children_.begin(), children_.end(), remote))
    return say("does not stop: workers on other hosts would go on, and take the others for dead");
  signal_all(SIGSTOP);
  ::raise(SIGSTOP);
}

void Supervisor::reap() {
  for (Child& child : children_) {
    const pid_t pid = child.pid();
    if (!child.reap()) continue;
    keeper_.remove(pid);
    const WorkerEnd end = child.end();
    if (!end.failed() || first_failure_) continue;
    first_failure_ = end;
    decide_at_ =
        Clock::now() + (signal_ ? std::chrono::milliseconds(0) : options_.failure_patience);
  }
}

// Time in which the launcher was stopped is nobody's.
void Supervisor::keep_time() {
  const Clock::time_point now = Clock::now();
  if (last_look_ != Clock::time_point::max() && now - last_look_ > kStopped)
    for (auto* time : {&decide_at_, &kill_at_})
      if (*time) **time += now - last_look_;
  last_look_ = now;
  if (decide_at_ && (now >= *decide_at_ || !any_running())) decide();
  if (kill_at_ && now >= *kill_at_) {
    signal_all(SIGKILL);
    kill_at_.reset();
  }
}

void Supervisor::decide() {
  decide_at_.reset();
  const std::vector<WorkerEnd> known = ends();
  culprit_ = find_culprit(known);
  if (culprit_) {
    say(describe(known[*culprit_]));
    culprit_ending_ = known[*culprit_].ending;
  }
  if (signal_) return;  // all have been asked to end, and have their time
  signal_all(SIGTERM);
  kill_at_ = Clock::now() + options_.failure_grace;
}

// Of the worker that was named, unless it ended well or was still there, and ended when it was
// asked to.
int Supervisor::exit_code() const {
  if (!first_failure_) return 0;
  if (culprit_ending_ && culprit_ending_->code != 0) return culprit_ending_->code;
  if (culprit_ && !culprit_ending_) {
    const Ending later = *ends()[*culprit_].ending;
    if (later.code != 0 && !later.killed) return later.code;
  }
  return first_failure_->ending->code;
}

void Supervisor::signal_all(int signal) {
  for (Child& child : children_) child.signal(signal);
}

std::vector<WorkerEnd> Supervisor::ends() const {
  std::vector<WorkerEnd> ends;
  for (const Child& child : children_) ends.push_back(child.end());
  return ends;
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
