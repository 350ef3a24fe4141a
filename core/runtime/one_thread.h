#pragma once

#include <sys/types.h>

#include <atomic>
#include <string_view>
#include <utility>

namespace cohort {

/// Lets one thread at a time inside, as often as it likes, and refuses others: for what must not
/// be done by two threads at once, although nothing waits.
class OneThread {
 public:
  /// The thread is inside as long as this lives.
  class Entered {
   public:
    Entered() = default;
    explicit Entered(OneThread& owner) : owner_(&owner) {}
    ~Entered() {
      if (owner_) owner_->leave();
    }
    Entered(Entered&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    Entered& operator=(Entered&&) = delete;

   private:
    OneThread* owner_ = nullptr;
  };

  /// `what` it does, for people, is a literal. Throws FailedPrecondition, beginning with `where`
  /// and naming both threads, where another is inside.
  [[nodiscard]] Entered enter(std::string_view where, const char* what);

 private:
  void leave();

  std::atomic<pid_t> inside_{0};  ///< 0: none
  std::atomic<const char*> doing_{""};
  int depth_ = 0;  // of the thread that is inside
};

}  // namespace cohort
