#pragma once

#include <algorithm>

#include "cohort/core/chrono.h"

namespace cohort {

/// Waits until `ready()`: spins for about 50 µs, then gives up its time slice, then sleeps in
/// growing steps up to 1 ms. Returns false when `timeout` has passed first. Allocates nothing.
template <class Ready>
bool spin_wait(Ready&& ready, std::chrono::nanoseconds timeout);

/// Spins until `ready()`, `limit` at most. Returns whether it is ready.
template <class Ready>
bool spin_for(std::chrono::nanoseconds limit, Ready&& ready);

/// A pause of one spin: tells the processor that this is a waiting loop.
void spin_pause();
/// Sleeps for round `n` of waiting (yield first, then 50 µs … 1 ms).
void back_off(int n);

// By the clock: a pause takes from 5 to 50 ns, depending on the processor.
template <class Ready>
bool spin_for(std::chrono::nanoseconds limit, Ready&& ready) {
  const auto begin = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      spin_pause();
    }
  } while (std::chrono::steady_clock::now() - begin < limit);
  return ready();
}

template <class Ready>
bool spin_wait(Ready&& ready, std::chrono::nanoseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  if (spin_for(std::min<std::chrono::nanoseconds>(timeout, std::chrono::microseconds(50)), ready))
    return true;
  for (int n = 0; !ready(); ++n) {
    if (std::chrono::steady_clock::now() >= deadline) return ready();
    back_off(n);
  }
  return true;
}

}  // namespace cohort
