#include "core/runtime/device_thread.h"

#include "core/runtime/device.h"
#include "core/runtime/spin_wait.h"

namespace cohort {
namespace {

constexpr int kSpins = 20000;  // about 100 µs: longer than the gap between two steps

}  // namespace

DeviceThread::DeviceThread(Device& device) : device_(device), thread_([this] { loop(); }) {}

DeviceThread::~DeviceThread() {
  wait();
  stop_.store(true, std::memory_order_relaxed);
  requested_.fetch_add(1, std::memory_order_release);
  requested_.notify_one();
  thread_.join();
}

void DeviceThread::start(void (*job)(void*), void* argument) {
  job_ = job;
  argument_ = argument;
  requested_.fetch_add(1, std::memory_order_release);
  requested_.notify_one();
}

void DeviceThread::wait() {
  const uint32_t target = requested_.load(std::memory_order_relaxed);
  for (int i = 0; i < kSpins; ++i) {
    if (finished_.load(std::memory_order_acquire) == target) return;
    spin_pause();
  }
  for (uint32_t seen = finished_.load(std::memory_order_acquire); seen != target;
       seen = finished_.load(std::memory_order_acquire))
    finished_.wait(seen, std::memory_order_acquire);
}

void DeviceThread::loop() {
  device_.bind_thread();
  for (uint32_t done = 0;;) {
    for (int i = 0; i < kSpins && requested_.load(std::memory_order_acquire) == done; ++i)
      spin_pause();
    requested_.wait(done, std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    job_(argument_);
    finished_.store(++done, std::memory_order_release);
    finished_.notify_one();
  }
}

}  // namespace cohort
