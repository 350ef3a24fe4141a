#pragma once

#include <atomic>
#include <thread>

namespace cohort {

class Device;

/// A thread bound to one device, that runs one job at a time on request. Waits by spinning first,
/// so that a steady sequence of short steps costs no system call. The job must not throw.
class DeviceThread {
 public:
  explicit DeviceThread(Device& device);
  ~DeviceThread();  ///< finishes the job in hand
  DeviceThread(const DeviceThread&) = delete;
  DeviceThread& operator=(const DeviceThread&) = delete;

  /// Starts `job(argument)`; the previous job must have been waited for.
  void start(void (*job)(void*), void* argument);
  /// Returns when the job has ended. What the job wrote is visible then.
  void wait();

 private:
  void loop();

  Device& device_;
  void (*job_)(void*) = nullptr;
  void* argument_ = nullptr;
  std::atomic<uint32_t> requested_{0};
  std::atomic<uint32_t> finished_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace cohort
