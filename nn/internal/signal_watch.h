#pragma once

#include <csignal>
#include <vector>

namespace cohort::nn::internal {

/// Notes that one of some signals has come, instead of what the process would do. A second one
/// does that. One at a time in a process.
class SignalWatch {
 public:
  /// Throws FailedPrecondition where there is another one, InvalidArgument for what is no signal
  /// that can be watched.
  explicit SignalWatch(std::vector<int> signals);
  /// The signals mean again what they did before.
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  /// The signal that has come; 0: none.
  int seen() const;

 private:
  struct Before {
    int signal;
    struct sigaction action;
  };
  void put_back();

  std::vector<Before> before_;
};

}  // namespace cohort::nn::internal
