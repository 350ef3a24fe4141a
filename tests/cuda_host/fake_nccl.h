#pragma once

#include <atomic>
#include <functional>

/// What stands in for NCCL in these tests: ranks of one process exchange data in host memory.
namespace cohort::testing {

struct FakeNccl {
  /// Called by ncclCommAbort, which does not return before.
  std::function<void()> during_abort;
  std::atomic<int> live = 0;  ///< communicators
  std::atomic<int> inits = 0, aborts = 0, destroys = 0;
  std::atomic<int> open_groups = 0;
  bool init_fails = false;
};

FakeNccl& fake_nccl();
void reset_fake_nccl();

}  // namespace cohort::testing
