#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cohort/core/error.h"
#include "cohort/kernels/cuda/fault.h"
#include "cohort/kernels/cuda/streams.h"

namespace cohort::cuda {

/// Bad data found by kernels of one device, which cannot throw: they write a Fault, and whoever
/// waits for the device gets it as an Error.
class FaultLog {
 public:
  explicit FaultLog(std::shared_ptr<Streams> streams);

  /// The number by which kernels report `code` and `message`, in which {got}, {index} and {limit}
  /// stand for the fault's numbers. Equal sites share a number.
  int add_site(Code code, const std::string& message);
  Fault* device() const { return static_cast<Fault*>(memory_.get()); }
  /// Waits for the compute stream. Throws what its kernels have found since the last call.
  void check();

 private:
  struct Site {
    Code code;
    std::string message;
  };

  std::shared_ptr<Streams> streams_;
  std::shared_ptr<void> memory_;
  Handle<Fault*, cudaFreeHost> seen_;  // pinned
  std::vector<Site> sites_;            // site n is sites_[n - 1]
  std::map<std::string, int> numbers_;
};

}  // namespace cohort::cuda
