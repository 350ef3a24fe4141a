#include "cohort/core/runtime/spin_wait.h"

#include <sched.h>

#include <algorithm>
#include <thread>

namespace cohort {

void spin_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

void back_off(int n) {
  constexpr int kYields = 200;
  if (n < kYields) {
    sched_yield();
    return;
  }
  std::this_thread::sleep_for(
      std::chrono::microseconds(std::min(1000, 50 * (1 + (n - kYields) / 20))));
}

}  // namespace cohort
