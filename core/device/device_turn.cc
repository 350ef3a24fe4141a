#include "cohort/core/device/device_turn.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <string>

#include "cohort/core/device/device.h"
#include "cohort/core/error.h"
#include "cohort/core/terminal.h"

namespace cohort {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr std::chrono::seconds kWarnOfTurnAfter{10};

thread_local pid_t thread_id = 0;  // once it is known: asking the system takes long

}  // namespace

pid_t this_thread_id() {
  if (thread_id == 0) thread_id = gettid();
  return thread_id;
}

struct TurnLock::Waiter {
  const void* job;
  std::condition_variable called;
  bool has_turn = false;  // guarded by mutex_
};

TurnLock::TurnLock() = default;
TurnLock::~TurnLock() = default;

void TurnLock::acquire(const Device& device, const void* job, std::chrono::nanoseconds timeout) {
  const pid_t me = this_thread_id();
  if (owner_.load(std::memory_order_relaxed) == me) {
    ++depth_;
    return;
  }
  State expected = kFree;
  if (!state_.compare_exchange_strong(expected, kTaken, std::memory_order_acquire,
                                      std::memory_order_relaxed))
    wait_in_line(device, job, timeout);
  owner_.store(me, std::memory_order_relaxed);
  job_.store(job, std::memory_order_relaxed);
  depth_ = 1;
}

void TurnLock::release() {
  if (--depth_ > 0) return;
  job_.store(nullptr, std::memory_order_relaxed);
  owner_.store(0, std::memory_order_relaxed);
  State expected = kTaken;
  if (!state_.compare_exchange_strong(expected, kFree, std::memory_order_release,
                                      std::memory_order_relaxed))
    hand_over();
}

/// Says that this thread wants the turn; false when it has got it at once.
bool TurnLock::joins_line() {
  State state = state_.load(std::memory_order_relaxed);
  for (;;) {
    const State next = state == kFree ? kTaken : kWanted;
    if (state_.compare_exchange_weak(state, next, std::memory_order_acquire,
                                     std::memory_order_relaxed))
      return next == kWanted;
  }
}

void TurnLock::wait_in_line(const Device& device, const void* job,
                            std::chrono::nanoseconds timeout) {
  std::unique_lock lock(mutex_);
  refuse_second_job(device, job);
  if (!joins_line()) return;
  Waiter me{.job = job};
  line_.push_back(&me);
  const auto called = [&me] { return me.has_turn; };
  const auto patience = std::min<std::chrono::nanoseconds>(timeout, kWarnOfTurnAfter);
  if (me.called.wait_for(lock, patience, called)) return;
  const std::string name = device.name().to_string();
  if (timeout > patience) {
    say(stderr, fmt::format("{}: waiting for the step of thread {} since {:.0f} s\n", name,
                            owner_.load(std::memory_order_relaxed), Seconds(patience).count()));
    if (me.called.wait_for(lock, timeout - patience, called)) return;
  }
  leave_line(me);
  throw DeadlineExceeded("{}: got no turn in {:g} s: thread {} uses it", name,
                         Seconds(timeout).count(), owner_.load(std::memory_order_relaxed));
}

void TurnLock::refuse_second_job(const Device& device, const void* job) const {
  if (!job) return;
  const void* owners = job_.load(std::memory_order_relaxed);
  const bool second = (owners && owners != job) ||
                      std::any_of(line_.begin(), line_.end(), [job](const Waiter* waiter) {
                        return waiter->job && waiter->job != job;
                      });
  if (second)
    throw FailedPrecondition(
        "{}: got a step of one job of several processes in thread {} beside one of another job in "
        "thread {}; want both in one thread, or on different devices",
        device.name().to_string(), this_thread_id(), owner_.load(std::memory_order_relaxed));
}

void TurnLock::leave_line(Waiter& waiter) {
  std::erase(line_, &waiter);
  State expected = kWanted;
  if (line_.empty()) state_.compare_exchange_strong(expected, kTaken, std::memory_order_relaxed);
}

void TurnLock::hand_over() {
  const std::lock_guard lock(mutex_);
  if (line_.empty()) {  // who waited has given up
    state_.store(kFree, std::memory_order_release);
    return;
  }
  Waiter& next = *line_.front();
  line_.erase(line_.begin());
  job_.store(next.job, std::memory_order_relaxed);
  if (line_.empty()) state_.store(kTaken, std::memory_order_relaxed);
  next.has_turn = true;
  next.called.notify_one();
}

DeviceTurn::DeviceTurn(std::span<Device* const> devices, const void* job) {
  for (size_t taken = 0; taken < devices.size(); ++taken) {
    try {
      devices[taken]->turn().acquire(*devices[taken], job);
    } catch (...) {
      devices_ = devices.first(taken);
      release();
      throw;
    }
  }
  devices_ = devices;
}

void DeviceTurn::release() {
  for (Device* device : devices_) device->turn().release();
  devices_ = {};
}

bool DeviceTurn::follows(const void* user) const {
  return std::all_of(devices_.begin(), devices_.end(),
                     [user](Device* device) { return device->turn().was_used_last_by(user); });
}

void DeviceTurn::note_user(const void* user) const {
  for (Device* device : devices_) device->turn().note_user(user);
}

std::vector<Device*> in_turn_order(std::vector<Device*> devices) {
  std::sort(devices.begin(), devices.end(), std::less<>());
  devices.erase(std::unique(devices.begin(), devices.end()), devices.end());
  return devices;
}

}  // namespace cohort
