#include "cohort/core/runtime/one_thread.h"

#include "cohort/core/device/device_turn.h"
#include "cohort/core/error.h"

namespace cohort {

OneThread::Entered OneThread::enter(std::string_view where, const char* what) {
  const pid_t me = this_thread_id();
  pid_t other = inside_.load(std::memory_order_relaxed);
  if (other != me) {
    other = 0;
    if (!inside_.compare_exchange_strong(other, me, std::memory_order_acquire))
      throw FailedPrecondition(
          "{}: got {} in thread {} while thread {} is in {}; want one thread at a time", where,
          what, me, other, doing_.load());
    doing_.store(what);
  }
  ++depth_;
  return Entered(*this);
}

void OneThread::leave() {
  if (--depth_ == 0) inside_.store(0, std::memory_order_release);
}

}  // namespace cohort
