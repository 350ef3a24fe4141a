#pragma once

#include <chrono>

namespace cohort {

/// Waits until `ready()`: spins for about 50 µs, then gives up its time slice, then sleeps in
/// growing steps up to 1 ms. Returns false when `timeout` has passed first. Allocates nothing.
template <class Ready>
bool spin_wait(Ready&& ready, std::chrono::nanoseconds timeout);

/// A pause of one spin: tells the processor that this is a waiting loop.
void spin_pause();
/// Sleeps for round `n` of waiting (yield first, then 50 µs … 1 ms).
void back_off(int n);

template <class Ready>
bool spin_wait(Ready&& ready, std::chrono::nanoseconds timeout) {
  for (int i = 0; i < 2000; ++i) {
    if (ready()) return true;
    spin_pause();
  }
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (int n = 0; !ready(); ++n) {
    if (std::chrono::steady_clock::now() >= deadline) return ready();
    back_off(n);
  }
  return true;
}

}  // namespace cohort
