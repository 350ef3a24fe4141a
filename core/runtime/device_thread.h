#pragma once

#include <atomic>
#include <exception>
#include <thread>

#include "cohort/core/chrono.h"

namespace cohort {

class Device;

/// A thread bound to one device, that runs one job at a time on request. Waits by spinning first,
/// so that a steady sequence of short steps costs no system call. The job must not throw.
class DeviceThread {
 public:
  /// A minute more than the waits inside a job, whose errors say more.
  static constexpr std::chrono::minutes kTimeout{11};

  /// Returns when the thread is bound; throws what Device::bind_thread does.
  explicit DeviceThread(Device& device);
  /// Finishes the job in hand, however long that takes: a thread cannot be stopped from outside.
  ~DeviceThread();
  DeviceThread(const DeviceThread&) = delete;
  DeviceThread& operator=(const DeviceThread&) = delete;

  /// Starts `job(argument)`. FailedPrecondition when the previous job has not ended.
  void start(void (*job)(void*), void* argument);
  /// Returns when the job has ended. What the job wrote is visible then. Says on standard error
  /// after 10 s that it still waits. Throws DeadlineExceeded after `timeout`; the job goes on, and
  /// may be waited for again.
  void wait(std::chrono::nanoseconds timeout = kTimeout);

 private:
  bool is_idle() const {
    return finished_.load(std::memory_order_acquire) == requested_.load(std::memory_order_relaxed);
  }
  /// Binds the calling thread, and says so; false where that fails.
  bool bind();
  void loop();

  Device& device_;
  void (*job_)(void*) = nullptr;
  void* argument_ = nullptr;
  std::atomic<uint32_t> requested_{0};
  std::atomic<uint32_t> finished_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> bound_{false};  ///< or not: then bind_error_ says why
  std::exception_ptr bind_error_;   ///< written before bound_
  std::thread thread_;
};

}  // namespace cohort
