#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/core/runtime/communicator.h"
#include "cohort/core/runtime/parameter_group.h"
#include "cohort/core/runtime/rewrite.h"

namespace cohort {

/// How replicas that one device carries give to collectives.
enum class Turns {
  kNone,          ///< every device carries one
  kExchangeOnce,  ///< a device adds up what its replicas give; their sum travels in the last turn
  kExchangeEach,  ///< what one turn gives travels in it, and the device adds up what came of it
};

/// Tensors that are reduced together, side by side in one block of memory; or one tensor that is
/// gathered.
struct Bucket {
  DType dtype = DType::kF32;
  bool gathers = false;
  bool scatters = false;                   ///< each rank gets its range of the reduction alone
  ops::ReduceOp op = ops::ReduceOp::kSum;  ///< unless it gathers
  std::vector<int64_t> offsets;            ///< of each tensor, in elements; multiples of 64 bytes
  int64_t num_elements = 0;                ///< of one replica, padding included
  bool may_be_rounded = false;             ///< f32 gradients alone, which a wire may round
  /// This rank's range of what is scattered lies apart, and the rest is memory that the buckets of
  /// a ring (by its number) take over one after the other.
  std::optional<size_t> ring = {};

  size_t num_bytes() const { return static_cast<size_t>(num_elements) * size_of(dtype); }
  size_t own_bytes() const { return static_cast<size_t>(own_elements) * size_of(dtype); }
  /// Where one replica leaves its tensor, and where the result is found.
  void* source(size_t tensor) const { return place(data, tensor); }
  void* result(size_t tensor) const {
    return scatters ? own : place(gathers ? gathered : data, tensor);
  }

  // Filled for one device by allocate().
  std::shared_ptr<void> memory;
  void* data = nullptr;  ///< memory.get(); its address is the slot of a reduction
  std::unique_ptr<Communicator::Request> request;
  int64_t own_elements = 0;   ///< of this rank's range of a reduction
  void* scattered = nullptr;  ///< it, in `data`
  void* own = nullptr;        ///< the same, or where it lies apart
  std::shared_ptr<void> own_memory;
  // For a gather: what the replicas of this device leave, one after the other (`data` itself for
  // one), and what those of all devices left.
  std::shared_ptr<void> local_memory, gathered_memory;
  void* local = nullptr;
  void* gathered = nullptr;
  void* arriving = nullptr;   ///< where in `gathered` the next call leaves its part
  size_t arriving_bytes = 0;  ///< of a call

 private:
  void* place(void* base, size_t tensor) const {
    return static_cast<char*>(base) + offsets[tensor] * static_cast<int64_t>(size_of(dtype));
  }
};

/// A parameter group of a step as one device has it.
struct PlacedGroup {
  std::shared_ptr<ParameterGroup> group;
  std::shared_ptr<ParameterGroup::Block> block = nullptr;
  std::shared_ptr<Communicator::Request> publish = nullptr;  ///< gives every rank all ranges
};

/// The collectives of one traced step, fixed before batch symbols are bound: so every rank runs the
/// same sequence whatever its rows. Bucket i belongs to the AllReduce or AllGather node with
/// attribute "bucket" = i.
struct CollectivePlan {
  std::vector<Bucket> buckets;
  /// By attribute "group".
  std::vector<PlacedGroup> groups;
  /// Gradients may be rounded on their way: they get buckets without anything else.
  bool gradients_apart = false;
  /// Replicas of several ranks: a step that commits gets a bucket for their vote (step_vote.h).
  int voters = 0;
  /// A replica whose kernel fails does not start what follows (CPU). Then a reduction behind
  /// everything that replicas can fail at alone is their vote, and needs no other.
  bool kernels_throw = false;
  int rank = 0;  ///< of this device in its group
  Turns turns = Turns::kNone;
  std::vector<size_t> rings;  ///< bytes of each memory that buckets take over from each other

  /// Takes bucket memory from `communicator` and prepares one request each, in order. This device
  /// carries `local_replicas` of `num_replicas`; buckets that may be rounded travel as
  /// `gradient_dtype`. Collective.
  void allocate(Communicator& communicator, int local_replicas, int num_replicas,
                DType gradient_dtype);
  /// Lays the parameters of the groups side by side on `device` and prepares what publishes them.
  /// Collective, after allocate().
  void place_groups(Device& device, Communicator& communicator);
  /// Of the groups; sums of replicas that take turns apart (ReplicaTurns).
  GroupMemory memory() const;
  /// Of the buckets.
  size_t num_bytes() const;
  /// Time that the device's thread has spent in waits for buckets: communication that backward did
  /// not hide.
  std::chrono::nanoseconds waited() const;
};

/// True for sums, means and the like over replicas, planned or not.
bool is_reduction(const Node& node);
/// True for the collectives of a planned graph.
bool is_collective(const Node& node);
/// True for the update that gives every rank all parameters of a group.
bool is_publication(const Node& node);

/// Gives every ReduceScatter a bucket laid out as its group is, of `plan.groups`, and every
/// AllGather of a tensor of fixed size along axis 0 a bucket of its own. Divides every
/// AllReduce node into buckets of one dtype and about `bucket_bytes`, tensors in the
/// order in which they become ready, and appends their layout to `plan`. A mean becomes a sum and a
/// division. Also puts the variables of update nodes into that order, and splits update nodes by
/// the device that each variable is read on. Throws InvalidArgument for a tensor whose size depends
/// on the batch.
GraphFunction plan_collectives(const Graph& graph, std::span<const Value> fetches,
                               size_t bucket_bytes, CollectivePlan& plan);

}  // namespace cohort
