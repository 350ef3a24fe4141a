#pragma once

#include <sys/types.h>

#include <atomic>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "cohort/core/chrono.h"

namespace cohort {

class Device;

/// Lets one thread at a time use a device; others wait in the order in which they came. A thread
/// may take it again while it has it. Costs some 10 ns, without a system call, while nobody else
/// wants the device.
class TurnLock {
 public:
  TurnLock();
  ~TurnLock();

  /// A minute more than the waits inside a step, whose errors say more.
  static constexpr std::chrono::minutes kTimeout{12};

  /// `job`: see DeviceTurn. Says on standard error after 10 s that it still waits. Throws
  /// DeadlineExceeded after `timeout`, naming `device` and the thread that has it.
  void acquire(const Device& device, const void* job, std::chrono::nanoseconds timeout = kTimeout);
  void release();

  /// Whether `user` is who used the device last. To be asked by the thread that has the turn.
  bool was_used_last_by(const void* user) const {
    return last_user_.load(std::memory_order_relaxed) == user;
  }
  /// Makes `user` that; null makes it nobody. Any thread may say the latter.
  void note_user(const void* user) { last_user_.store(user, std::memory_order_relaxed); }

 private:
  enum State : int { kFree, kTaken, kWanted };  // kWanted: taken, and others wait
  struct Waiter;

  bool joins_line();
  void wait_in_line(const Device& device, const void* job, std::chrono::nanoseconds timeout);
  void refuse_second_job(const Device& device, const void* job) const;
  void leave_line(Waiter& waiter);
  void hand_over();

  std::atomic<State> state_{kFree};
  std::atomic<pid_t> owner_{0};
  std::atomic<const void*> job_{nullptr};  ///< of the owner
  int depth_ = 0;                          // the owner's
  std::atomic<const void*> last_user_{nullptr};
  std::mutex mutex_;
  std::vector<Waiter*> line_;  // guarded by mutex_
};

/// This thread's right to use some devices while it lives: to compile for them, to run on them, and
/// to read what has run on them last. All threads take devices in one order, so that none wait for
/// each other in a circle; a thread that has turns may take the same again, but no others.
class DeviceTurn {
 public:
  DeviceTurn() = default;
  /// `devices`: in in_turn_order(); the list outlives this. `job`: what makes the thread wait for
  /// other processes inside its turn; null for nothing. Throws what TurnLock::acquire does, and
  /// FailedPrecondition where a device is wanted for two jobs at a time: each could wait for the
  /// other in another process.
  explicit DeviceTurn(std::span<Device* const> devices, const void* job = nullptr);
  ~DeviceTurn() { release(); }
  DeviceTurn(DeviceTurn&& other) noexcept : devices_(std::exchange(other.devices_, {})) {}
  DeviceTurn& operator=(DeviceTurn&&) = delete;

  void release();
  /// Whether `user` used each of the devices last.
  bool follows(const void* user) const;
  /// Notes that `user` uses the devices now.
  void note_user(const void* user) const;

 private:
  std::span<Device* const> devices_;
};

/// `devices` without repetition, in the order in which turns are taken.
std::vector<Device*> in_turn_order(std::vector<Device*> devices);

/// The number by which the system knows the calling thread.
pid_t this_thread_id();

}  // namespace cohort
