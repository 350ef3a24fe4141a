#pragma once

#include <memory>
#include <vector>

#include "cohort/core/runtime/collective_plan.h"
#include "cohort/core/runtime/kernel.h"

namespace cohort {
class Runtime;
}

namespace cohort::distribute {

/// Adds up, in tree order, the buckets (but for those that gather) that the replicas of one device
/// leave one after the other. Like a binary counter: level k holds the sum of 2^k replicas until
/// its neighbour is complete; memory is one copy of the buckets for each level.
class BlockSum {
 public:
  BlockSum(Runtime& runtime, Device& device, CollectivePlan& plan, int num_replicas);
  ~BlockSum();

  void begin() { count_ = 0; }
  /// Takes over what lies in the buckets as the next replica's.
  void add();
  /// Leaves the sum of all replicas added since begin() in the buckets.
  void finish();

 private:
  class BucketKernel;
  struct Level;

  CollectivePlan& plan_;
  std::vector<std::unique_ptr<Level>> levels_;
  int count_ = 0;
};

}  // namespace cohort::distribute
