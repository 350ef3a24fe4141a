#include "cohort/nn/internal/signal_watch.h"

#include <atomic>

#include "cohort/core/error.h"

namespace cohort::nn::internal {
namespace {

// A handler has nothing else that it may reach.
std::atomic<bool> is_watching{false};
std::atomic<int> seen_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);

void note(int signal) { seen_signal = signal; }

}  // namespace

SignalWatch::SignalWatch(std::vector<int> signals) {
  if (is_watching.exchange(true))
    throw FailedPrecondition("signals: got a second watch; want one at a time in a process");
  seen_signal = 0;
  for (const int signal : signals) {
    struct sigaction action {};
    action.sa_handler = note;
    action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
    sigemptyset(&action.sa_mask);
    Before& before = before_.emplace_back(Before{signal, {}});
    if (sigaction(signal, &action, &before.action) == 0) continue;
    before_.pop_back();
    put_back();
    throw InvalidArgument("signals: got {}; want signals that a process may handle", signal);
  }
}

SignalWatch::~SignalWatch() { put_back(); }

void SignalWatch::put_back() {
  for (const Before& before : before_) sigaction(before.signal, &before.action, nullptr);
  is_watching = false;
}

int SignalWatch::seen() const { return seen_signal; }

}  // namespace cohort::nn::internal
