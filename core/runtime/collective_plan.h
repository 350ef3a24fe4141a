#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "core/runtime/communicator.h"
#include "core/runtime/rewrite.h"

namespace cohort {

/// Tensors that are reduced together, side by side in one block of memory.
struct Bucket {
  DType dtype = DType::kF32;
  ops::ReduceOp op = ops::ReduceOp::kSum;
  std::vector<int64_t> offsets;  ///< of each tensor, in elements; multiples of 64 bytes
  int64_t num_elements = 0;      ///< padding included

  // Filled for one device by allocate().
  std::shared_ptr<void> memory;
  void* data = nullptr;  ///< memory.get(); its address is the slot of the request
  std::unique_ptr<Communicator::Request> request;
};

/// The collectives of one traced step, fixed before batch symbols are bound: so every rank runs the
/// same sequence whatever its rows. Bucket i belongs to the AllReduce node with attribute "bucket"
/// = i.
struct CollectivePlan {
  std::vector<Bucket> buckets;
  /// Time that the device's thread has spent in waits for buckets: communication that backward did
  /// not hide.
  std::chrono::nanoseconds waited{0};

  /// Takes bucket memory from `communicator` and prepares one request each, in order. Collective.
  void allocate(Communicator& communicator);
};

/// Divides every AllReduce node into buckets of one dtype and about `bucket_bytes`, tensors in the
/// order in which they become ready, and appends their layout to `plan`. A mean becomes a sum and a
/// division. Also puts the variables of update nodes into that order, and splits update nodes by
/// the device that each variable is read on. Throws InvalidArgument for a tensor whose size depends
/// on the batch.
GraphFunction plan_collectives(const Graph& graph, std::span<const Value> fetches,
                               size_t bucket_bytes, CollectivePlan& plan);

}  // namespace cohort
