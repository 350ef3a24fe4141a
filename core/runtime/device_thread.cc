#include "cohort/core/runtime/device_thread.h"

#include <algorithm>
#include <cstdio>

#include "cohort/core/device/device.h"
#include "cohort/core/runtime/spin_wait.h"
#include "cohort/core/terminal.h"

namespace cohort {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr std::chrono::microseconds kSpin{100};  // longer than the gap between two steps
constexpr std::chrono::seconds kWarnAfter{10};

}  // namespace

DeviceThread::DeviceThread(Device& device) : device_(device), thread_([this] { loop(); }) {
  bound_.wait(false, std::memory_order_acquire);
  if (!bind_error_) return;
  thread_.join();
  std::rethrow_exception(bind_error_);
}

DeviceThread::~DeviceThread() {
  stop_.store(true, std::memory_order_relaxed);
  requested_.fetch_add(1, std::memory_order_release);
  requested_.notify_one();
  thread_.join();
}

void DeviceThread::start(void (*job)(void*), void* argument) {
  if (!is_idle())
    throw FailedPrecondition("{}: got a job while the previous one runs; want it waited for",
                             device_.name().to_string());
  job_ = job;
  argument_ = argument;
  requested_.fetch_add(1, std::memory_order_release);
  requested_.notify_one();
}

void DeviceThread::wait(std::chrono::nanoseconds timeout) {
  const auto ended = [this] { return is_idle(); };
  const auto patience = std::min<std::chrono::nanoseconds>(timeout, kWarnAfter);
  if (spin_wait(ended, patience)) return;
  const std::string device = device_.name().to_string();
  if (timeout > patience) {
    say(stderr, fmt::format("{}: waiting for its part of the step since {:.0f} s\n", device,
                            Seconds(patience).count()));
    if (spin_wait(ended, timeout - patience)) return;
  }
  throw DeadlineExceeded("{}: got no end of its part of the step in {:g} s", device,
                         Seconds(timeout).count());
}

bool DeviceThread::bind() {
  try {
    device_.bind_thread();
  } catch (...) {
    bind_error_ = std::current_exception();
  }
  bound_.store(true, std::memory_order_release);
  bound_.notify_one();
  return !bind_error_;
}

void DeviceThread::loop() {
  if (!bind()) return;
  for (uint32_t done = 0;;) {
    spin_for(kSpin, [&] { return requested_.load(std::memory_order_acquire) != done; });
    requested_.wait(done, std::memory_order_acquire);
    // The request to stop may come beside one for a job, which is done first.
    const uint32_t pending = requested_.load(std::memory_order_acquire) - done;
    if (stop_.load(std::memory_order_relaxed) && pending == 1) return;
    job_(argument_);
    finished_.store(++done, std::memory_order_release);
  }
}

}  // namespace cohort
