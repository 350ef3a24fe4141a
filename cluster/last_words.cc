#include "cohort/cluster/last_words.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <future>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "cohort/core/current_error.h"

namespace cohort::cluster {
namespace {

constexpr std::chrono::seconds kPatience(5);

}  // namespace

/// What the process has one of: its end. Never destroyed, for it serves until then.
class ProcessEnd {
 public:
  static ProcessEnd& instance() {
    static ProcessEnd& end = *new ProcessEnd;
    return end;
  }

  void add(LastWords* words) {
    const std::lock_guard lock(mutex_);
    if (words_.empty()) before_ = std::set_terminate(&on_terminate);
    words_.insert(words);
    if (!std::exchange(at_exit_, true)) std::atexit(&on_exit);
  }

  void remove(LastWords* words) {
    {
      const std::lock_guard lock(mutex_);
      words_.erase(words);
      if (words_.empty() && std::get_terminate() == &on_terminate) std::set_terminate(before_);
      if (!ends_ || ending_ == std::this_thread::get_id() || ::gettid() != ::getpid()) return;
    }
    while (true) ::pause();
  }

 private:
  static void on_exit() {
    instance().say(
        Error(Code::kUnavailable,
              "its program ended, by exit or by a return from main, before it left the job"));
  }

  [[noreturn]] static void on_terminate() {
    ProcessEnd& end = instance();
    end.say(std::current_exception() ? current_error()
                                     : Error(Code::kUnknown, "std::terminate was called"));
    if (end.before_ != nullptr) end.before_();
    std::abort();
  }

  /// Waits for a thread of its own, which may never get its locks.
  void say(const Error& why) noexcept {
    try {
      const auto said = std::make_shared<std::promise<void>>();
      const auto ending = std::this_thread::get_id();
      std::thread([this, why, said, ending] {
        tell_all(why, ending);
        said->set_value();
      }).detach();
      said->get_future().wait_for(kPatience);
    } catch (const std::exception&) {  // no thread to be had: the broken connection will tell
    }
  }

  void tell_all(const Error& why, std::thread::id ending) {
    const std::lock_guard lock(mutex_);
    ends_ = true;
    ending_ = ending;
    for (LastWords* words : std::exchange(words_, {})) words->say_(why);
  }

  std::mutex mutex_;
  std::set<LastWords*> words_;  // guarded by mutex_, as all below
  bool at_exit_ = false;
  bool ends_ = false;
  std::thread::id ending_;
  std::terminate_handler before_ = nullptr;
};

LastWords::LastWords(Say say) : say_(std::move(say)) { ProcessEnd::instance().add(this); }

LastWords::~LastWords() { ProcessEnd::instance().remove(this); }

}  // namespace cohort::cluster
