#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cohort/core/chrono.h"

namespace cohort {

/// How threads wait for a device whose work may depend on others that are gone. Thread-safe.
class MonitoredWait {
 public:
  /// Called from time to time by who waits, with how long that has been; it ends the wait by
  /// throwing.
  using Monitor = std::function<void(std::chrono::milliseconds waited)>;
  static constexpr std::chrono::milliseconds kBetweenCalls{50};

  /// `monitor` is called until the returned owner goes.
  std::shared_ptr<Monitor> add(Monitor monitor) const;
  bool has_monitors() const;

  /// Returns when `done()`. Throws what a monitor throws, and what `done` does.
  template <class Done>
  void until(Done&& done) const {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point begin = Clock::now();
    for (Clock::time_point next = begin + kBetweenCalls; !done(); std::this_thread::yield()) {
      const Clock::time_point now = Clock::now();
      if (now < next) continue;
      call_monitors(std::chrono::duration_cast<std::chrono::milliseconds>(now - begin));
      next = now + kBetweenCalls;
    }
  }

 private:
  void call_monitors(std::chrono::milliseconds waited) const;

  mutable std::mutex mutex_;
  mutable std::vector<std::weak_ptr<Monitor>> monitors_;  // guarded by mutex_
};

}  // namespace cohort
