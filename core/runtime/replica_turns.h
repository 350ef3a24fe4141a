#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cohort/core/runtime/collective_plan.h"

namespace cohort {

class Device;
class Runtime;

// Replicas that one device carries take turns on the one schedule of their step. The last of them
// runs all of it, as a replica that has the device to itself does. The others run, before it, what
// they give to collectives, or to fetches of their own; where a collective of the last turn starts,
// they leave their part to be added. What a replica computes from the result of a collective begins
// a new segment of the schedule: all replicas run a segment before one begins the next.
//
// Where every turn exchanges what it gives (Turns::kExchangeEach), turn t of all devices together
// is a node of the tree of replicas, and the device adds up its parts of these nodes: a rank that
// has a range of a sum holds it alone, and not what its own replicas give to all of it.

/// Which fetches each replica has a value of its own of: those that differ by replica, and those
/// that no collective has had a part in.
std::vector<bool> fetches_of_each_replica(const Graph& graph, std::span<const Value> fetches);

/// By node: whether every replica runs it, for a collective or for a fetch i with `of_each[i]`.
std::vector<bool> nodes_of_every_turn(const Graph& graph, std::span<const Value> fetches,
                                      const std::vector<bool>& of_each);

/// Copies what a replica gives to a collective in one segment into that in which the collective
/// starts, where it gives something else: so each gives all of its bucket in one turn.
GraphFunction give_in_one_turn(GraphFunction function, const std::vector<bool>& of_each);

/// Whose turn it is on a device that carries several replicas, and what they leave there: parts of
/// sums, what is to be gathered, and the values that are needed after the turn in which they are
/// made. Shared by the executables of a program, whose turns alternate.
class ReplicaTurns {
 public:
  /// `plan` has been allocated for `num_replicas` on `device`, and outlives this.
  ReplicaTurns(Runtime& runtime, Device& device, CollectivePlan& plan, int num_replicas,
               std::vector<bool> of_each);
  ~ReplicaTurns();

  int count() const { return num_replicas_; }
  void begin(int replica) { replica_ = replica; }
  int replica() const { return replica_; }
  bool is_last() const { return replica_ == num_replicas_ - 1; }
  const std::vector<bool>& fetches_of_each() const { return of_each_; }

  /// Whether each turn exchanges what it gives.
  bool exchanges_each() const { return plan_.turns == Turns::kExchangeEach; }
  /// Takes over what lies in the bucket as this replica's, before a call; where each turn has one,
  /// says where that leaves what it gathers.
  void give(size_t bucket);
  /// Takes over what this turn's call has left. The last one leaves the sum of all where the result
  /// belongs.
  void take(size_t bucket);

  /// Makes room for `bytes` of every replica on `device`, one of those that an executable uses.
  void grow(Device& device, size_t bytes);
  /// Where `replica` keeps its values on `device`; moves when that grows.
  char* values(const Device& device, int replica) const;
  /// For sums and values.
  size_t num_bytes() const;
  /// For sums of which a rank has its range.
  size_t gradient_bytes() const;

 private:
  class SumKernel;
  struct Sum;
  struct Summed;
  struct Values {
    Device* device;
    size_t bytes = 0;
    std::vector<std::shared_ptr<void>> memory = {};  ///< of each replica
  };

  Summed summed_of(const Bucket& bucket) const;
  void add_level(Runtime& runtime, const Bucket& bucket, bool is_last);
  void add(size_t bucket);

  Device& device_;
  CollectivePlan& plan_;
  const int num_replicas_;
  const std::vector<bool> of_each_;
  int replica_ = 0;
  std::vector<std::vector<std::unique_ptr<Sum>>> sums_;  ///< of each bucket, by level
  std::vector<Values> values_;                           ///< of each device
};

}  // namespace cohort
