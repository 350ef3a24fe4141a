#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "cohort/core/graph/variable.h"
#include "cohort/core/runtime/collective_plan.h"
#include "cohort/core/runtime/kernel.h"
#include "cohort/core/runtime/schedule.h"

namespace cohort {

class ReplicaTurns;
class Runtime;

/// Where the values of one schedule live. Built in three moves: the constructor gives every value a
/// slot; kernels are made with operands on these slots; place() then lets outputs take over the
/// memory of dying inputs, plans the arena and writes the addresses into the slots.
class ValueStore {
 public:
  /// `kept` must survive to the end of the step (fetches). `turns`: null unless replicas take
  /// turns; then each has memory of its own for what it makes in one segment of the schedule and
  /// needs in another, and for what is kept of each.
  ValueStore(Runtime& runtime, const Graph& graph, const Schedule& schedule,
             std::span<const Value> kept, CollectivePlan* collectives,
             ReplicaTurns* turns = nullptr);

  Operand operand(Value value) const;
  std::vector<Operand> operands(std::span<const Value> values) const;
  std::vector<Operand> outputs(const Node& node) const;
  /// The operands of attribute "variables"; before them, of an update of a parameter group, this
  /// rank's range of its parameters.
  std::vector<Operand> variables(const Node& node) const;
  /// The slot of the workspace of the entry at `position`.
  void* const* workspace_slot(size_t position) const { return &workspace_slots_[position]; }
  /// The slot of the i-th placeholder; null when this device does not use it.
  void** input_slot(int i);

  /// `kernels[position]` is null for entries without a kernel.
  void place(const std::vector<Kernel*>& kernels);
  /// From now on the values of each replica are those of this one.
  void choose(int replica);
  size_t arena_bytes() const { return arena_bytes_; }
  /// Of each replica that takes turns, outside of the arena.
  size_t replica_bytes() const { return replica_bytes_; }
  /// Of constants and device copies of inputs.
  size_t owned_bytes() const { return owned_bytes_; }

 private:
  enum class Kind { kArena, kFixed, kInput, kVariable, kReplica };
  struct Memory {
    Kind kind = Kind::kArena;
    size_t bytes = 0;
    int first = 0;
    int last = 0;
    void* address = nullptr;  ///< what the slot points to, for all kinds but kVariable
    const VariablePlace* variable = nullptr;
    int shares_with = -1;  ///< index of the memory taken over
    int group = -1;        ///< index of the group laid out side by side
  };

  int find(Value value) const;  ///< index of the memory of the value's root
  int add(Value value, int position);
  void add_entry(const ScheduleEntry& entry, int position);
  void add_source(const Node& node, Memory& memory);
  void own(Memory& memory);
  void use(Value value, int position);
  const Bucket& bucket_of(const Node& node) const;
  void pin_to_bucket(const Node& node);
  size_t segment_of(int position) const;
  void keep_apart(std::span<const Value> kept);
  void place_of_replicas();
  void group_gradients(const Node& update);
  void share(const Kernel& kernel, const Node& node, int position);
  int owner(int index) const;
  void check_alignment() const;

  Runtime& runtime_;
  const Graph& graph_;
  const Schedule& schedule_;
  Device& device_;
  CollectivePlan* collectives_;
  ReplicaTurns* turns_;
  std::map<std::pair<const Node*, int>, int> index_;
  std::deque<Memory> memories_;
  std::vector<std::vector<int>> groups_;
  std::deque<void*> workspace_slots_;
  std::vector<std::shared_ptr<void>> owned_;           ///< constants and device copies of inputs
  std::vector<std::pair<void**, size_t>> of_replica_;  ///< slots, and offsets in its memory
  size_t arena_bytes_ = 0, owned_bytes_ = 0, replica_bytes_ = 0;
};

}  // namespace cohort
