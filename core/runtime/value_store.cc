#include "cohort/core/runtime/value_store.h"

#include <algorithm>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/runtime/aliases.h"
#include "cohort/core/runtime/memory_plan.h"
#include "cohort/core/runtime/replica_turns.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/update_layout.h"

namespace cohort {
namespace {

using EntryKind = ScheduleEntry::Kind;

size_t bytes_of(const TensorType& type) {
  return static_cast<size_t>(type.shape.num_elements()) * size_of(type.dtype);
}

size_t padded(size_t bytes) {
  return (bytes + kOperandAlignment - 1) / kOperandAlignment * kOperandAlignment;
}

bool is_aligned(const void* address, size_t alignment) {
  return reinterpret_cast<uintptr_t>(address) % alignment == 0;
}

}  // namespace

ValueStore::ValueStore(Runtime& runtime, const Graph& graph, const Schedule& schedule,
                       std::span<const Value> kept, CollectivePlan* collectives,
                       ReplicaTurns* turns)
    : runtime_(runtime),
      graph_(graph),
      schedule_(schedule),
      device_(*schedule.device),
      collectives_(collectives),
      turns_(turns),
      workspace_slots_(schedule.entries.size(), nullptr) {
  const int end = static_cast<int>(schedule.entries.size());
  for (int position = 0; position < end; ++position)
    add_entry(schedule.entries[static_cast<size_t>(position)], position);
  for (const Value& value : kept)
    if (index_.count({root_of(value).node(), root_of(value).index()})) use(value, end);
  for (const ScheduleEntry& entry : schedule.entries) {
    if (!entry.node || entry.kind == EntryKind::kWait) continue;
    if (entry.node->op().in_place) pin_to_bucket(*entry.node);
  }
  if (turns_) keep_apart(kept);
  for (const ScheduleEntry& entry : schedule.entries)
    if (entry.node && is_update(*entry.node)) group_gradients(*entry.node);
}

void ValueStore::add_entry(const ScheduleEntry& entry, int position) {
  const int end = static_cast<int>(schedule_.entries.size());
  switch (entry.kind) {
    case EntryKind::kCompute:
      for (const Value& input : entry.node->inputs()) use(input, position);
      for (int i = 0; i < entry.node->num_outputs(); ++i) {
        const Value output(const_cast<Node*>(entry.node), i);
        add_source(*entry.node, memories_[static_cast<size_t>(add(output, position))]);
      }
      break;
    case EntryKind::kStart:  // the buckets are in use until the end of the step
      for (const Value& input : entry.node->inputs()) use(input, end);
      break;
    case EntryKind::kWait:
      for (int i = 0; i < entry.node->num_outputs(); ++i) {
        const Value output(const_cast<Node*>(entry.node), i);
        const Bucket& bucket = bucket_of(*entry.node);
        if (bucket.gathers || bucket.scatters) {
          Memory& memory = memories_[static_cast<size_t>(add(output, position))];
          memory.kind = Kind::kFixed;
          memory.address = bucket.result(0);
        } else {
          index_[{entry.node, i}] = find(entry.node->inputs()[static_cast<size_t>(i)]);
        }
      }
      break;
    case EntryKind::kSend:
      use(entry.value, end);
      break;
    case EntryKind::kReceive:
      add(entry.value, position);
      break;
    case EntryKind::kMeet:
      break;
  }
}

int ValueStore::add(Value value, int position) {
  Memory memory;
  memory.bytes = bytes_of(value.type());
  memory.first = memory.last = position;
  memories_.push_back(memory);
  const int index = static_cast<int>(memories_.size()) - 1;
  index_[{value.node(), value.index()}] = index;
  return index;
}

void ValueStore::add_source(const Node& node, Memory& memory) {
  switch (node.op().source) {
    case Source::kNone:
      break;
    case Source::kInput:
      memory.kind = Kind::kInput;
      if (device_.type() != DeviceType::kCPU) own(memory);
      break;
    case Source::kConstant: {
      const Tensor value = node.attrs().get<Tensor>("value").contiguous();
      memory.kind = Kind::kFixed;
      own(memory);
      device_.copy_from_host(memory.address, value.raw(), memory.bytes);
      break;
    }
    case Source::kVariable: {
      const int64_t id = node.attrs().get<std::vector<int64_t>>("variables").front();
      memory.kind = Kind::kVariable;
      memory.variable = &graph_.variables()[static_cast<size_t>(id)]->place(device_);
      break;
    }
  }
}

void ValueStore::own(Memory& memory) {
  owned_.push_back(device_.allocate(memory.bytes));
  memory.address = owned_.back().get();
  owned_bytes_ += memory.bytes;
}

int ValueStore::find(Value value) const {
  const Value root = root_of(value);
  const auto it = index_.find({root.node(), root.index()});
  if (it == index_.end())
    throw Internal("{}: got no memory on {}; want one", root.node()->name(),
                   device_.name().to_string());
  return it->second;
}

void ValueStore::use(Value value, int position) {
  Memory& memory = memories_[static_cast<size_t>(find(value))];
  memory.last = std::max(memory.last, position);
}

const Bucket& ValueStore::bucket_of(const Node& node) const {
  COHORT_CHECK(collectives_ != nullptr);
  return collectives_->buckets[static_cast<size_t>(node.attrs().get<int64_t>("bucket"))];
}

void ValueStore::pin_to_bucket(const Node& node) {
  const Bucket& bucket = bucket_of(node);
  for (size_t i = 0; i < node.inputs().size(); ++i) {
    Memory& memory = memories_[static_cast<size_t>(find(node.inputs()[i]))];
    COHORT_CHECK(memory.kind == Kind::kArena);
    memory.kind = Kind::kFixed;
    memory.address = bucket.source(i);
  }
}

size_t ValueStore::segment_of(int position) const {
  const auto& cuts = schedule_.cuts;
  return static_cast<size_t>(
      std::upper_bound(cuts.begin(), cuts.end(), static_cast<size_t>(position)) - cuts.begin());
}

/// What lives on when another replica's turn comes.
void ValueStore::keep_apart(std::span<const Value> kept) {
  const auto keep = [](Memory& memory) {
    if (memory.kind == Kind::kArena) memory.kind = Kind::kReplica;
  };
  for (Memory& memory : memories_)
    if (segment_of(memory.first) != segment_of(memory.last)) keep(memory);
  for (size_t i = 0; i < kept.size(); ++i) {
    const Value root = root_of(kept[i]);
    const auto here = index_.find({root.node(), root.index()});
    if (turns_->fetches_of_each()[i] && here != index_.end())
      keep(memories_[static_cast<size_t>(here->second)]);
  }
}

/// Without buckets, the gradients of one update lie side by side too, so that its kernel sees flat
/// arrays.
void ValueStore::group_gradients(const Node& update) {
  std::vector<int> members;
  for (int i = 0; i < num_updated(update); ++i) {
    const int index = find(update.input(i));
    const Memory& memory = memories_[static_cast<size_t>(index)];
    const bool free = memory.kind == Kind::kArena && memory.group < 0 &&
                      std::find(members.begin(), members.end(), index) == members.end();
    if (!free) return;
    members.push_back(index);
  }
  for (const int index : members)
    memories_[static_cast<size_t>(index)].group = static_cast<int>(groups_.size());
  groups_.push_back(std::move(members));
}

Operand ValueStore::operand(Value value) const {
  const Memory& memory = memories_[static_cast<size_t>(find(value))];
  Operand operand{value.dtype(), value.shape(), &memory.address, nullptr};
  if (memory.kind == Kind::kVariable) {
    operand.slot = &memory.variable->data;
    operand.version = &memory.variable->version;
  }
  return operand;
}

std::vector<Operand> ValueStore::operands(std::span<const Value> values) const {
  std::vector<Operand> list;
  for (const Value& value : values) list.push_back(operand(value));
  return list;
}

std::vector<Operand> ValueStore::outputs(const Node& node) const {
  std::vector<Operand> list;
  for (int i = 0; i < node.num_outputs(); ++i)
    list.push_back(operand(Value(const_cast<Node*>(&node), i)));
  return list;
}

std::vector<Operand> ValueStore::variables(const Node& node) const {
  std::vector<Operand> list;
  const Attr* ids = node.attrs().find("variables");
  if (!ids) return list;
  if (is_update(node) && node.attrs().has("group")) {
    COHORT_CHECK(collectives_ != nullptr);
    const PlacedGroup& placed =
        collectives_->groups[static_cast<size_t>(node.attrs().get<int64_t>("group"))];
    list.push_back({placed.group->dtype(), Shape{placed.group->local_elements()},
                    placed.block->own(), nullptr});
  }
  for (const int64_t id : std::get<std::vector<int64_t>>(*ids)) {
    VariableState& variable = *graph_.variables()[static_cast<size_t>(id)];
    const VariablePlace& place = variable.place(device_);
    list.push_back({variable.dtype(), variable.local_shape(), &place.data, &place.version});
  }
  return list;
}

void** ValueStore::input_slot(int i) {
  const auto it = index_.find({graph_.placeholders()[static_cast<size_t>(i)], 0});
  return it == index_.end() ? nullptr : &memories_[static_cast<size_t>(it->second)].address;
}

int ValueStore::owner(int index) const {
  while (memories_[static_cast<size_t>(index)].shares_with >= 0)
    index = memories_[static_cast<size_t>(index)].shares_with;
  return index;
}

void ValueStore::share(const Kernel& kernel, const Node& node, int position) {
  std::vector<int> taken;
  for (int o = 0; o < node.num_outputs(); ++o) {
    const int out = find(Value(const_cast<Node*>(&node), o));
    Memory& output = memories_[static_cast<size_t>(out)];
    if (output.kind != Kind::kArena || output.group >= 0) continue;
    for (int i = 0; i < static_cast<int>(node.inputs().size()); ++i) {
      const int in = owner(find(node.input(i)));
      Memory& input = memories_[static_cast<size_t>(in)];
      const bool dies = input.kind == Kind::kArena && input.group < 0 && input.last == position;
      if (!dies || input.bytes != output.bytes || !kernel.can_share(o, i) ||
          std::find(taken.begin(), taken.end(), in) != taken.end())
        continue;
      output.shares_with = in;
      input.last = output.last;
      taken.push_back(in);
      break;
    }
  }
}

void ValueStore::place_of_replicas() {
  std::vector<Interval> intervals;
  for (Memory& memory : memories_) {
    if (memory.kind != Kind::kReplica) continue;
    intervals.push_back({memory.bytes, memory.first, memory.last});
    of_replica_.emplace_back(&memory.address, 0);
  }
  if (intervals.empty()) return;
  const MemoryPlan plan = plan_memory(intervals);
  for (size_t i = 0; i < of_replica_.size(); ++i) of_replica_[i].second = plan.offsets[i];
  replica_bytes_ = std::max<size_t>(plan.bytes, kOperandAlignment);
  turns_->grow(device_, replica_bytes_);
  choose(0);
}

void ValueStore::choose(int replica) {
  if (of_replica_.empty()) return;
  char* base = turns_->values(device_, replica);
  for (const auto& [slot, offset] : of_replica_) *slot = base + offset;
}

void ValueStore::place(const std::vector<Kernel*>& kernels) {
  place_of_replicas();
  for (size_t position = 0; position < kernels.size(); ++position) {
    const ScheduleEntry& entry = schedule_.entries[position];
    if (kernels[position] && entry.kind == EntryKind::kCompute)
      share(*kernels[position], *entry.node, static_cast<int>(position));
  }

  std::vector<Interval> intervals;
  std::vector<void**> slots;
  std::vector<size_t> group_interval;
  for (const auto& members : groups_) {
    Interval interval{0, memories_[static_cast<size_t>(members.front())].first, 0};
    for (const int index : members) {
      const Memory& memory = memories_[static_cast<size_t>(index)];
      interval.bytes += padded(memory.bytes);
      interval.first = std::min(interval.first, memory.first);
      interval.last = std::max(interval.last, memory.last);
    }
    group_interval.push_back(intervals.size());
    intervals.push_back(interval);
    slots.push_back(nullptr);
  }
  for (Memory& memory : memories_) {
    if (memory.kind != Kind::kArena || memory.shares_with >= 0 || memory.group >= 0) continue;
    intervals.push_back({memory.bytes, memory.first, memory.last});
    slots.push_back(&memory.address);
  }
  for (size_t position = 0; position < kernels.size(); ++position) {
    const size_t bytes = kernels[position] ? kernels[position]->workspace_bytes() : 0;
    if (bytes == 0) continue;
    const int at = static_cast<int>(position);
    intervals.push_back({bytes, at, at, kWorkspaceAlignment});
    slots.push_back(&workspace_slots_[position]);
  }

  const MemoryPlan plan = plan_memory(intervals);
  arena_bytes_ = plan.bytes;
  device_.arena().grow(std::max<size_t>(plan.bytes, 64));
  char* base = static_cast<char*>(device_.arena().base());
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i]) *slots[i] = base + plan.offsets[i];
  for (size_t g = 0; g < groups_.size(); ++g) {
    char* next = base + plan.offsets[group_interval[g]];
    for (const int index : groups_[g]) {
      memories_[static_cast<size_t>(index)].address = next;
      next += padded(memories_[static_cast<size_t>(index)].bytes);
    }
  }
  for (size_t i = 0; i < memories_.size(); ++i)
    if (memories_[i].shares_with >= 0)
      memories_[i].address = memories_[static_cast<size_t>(owner(static_cast<int>(i)))].address;
  check_alignment();
}

/// Kernels rely on it, and libraries give wrong results without saying so.
void ValueStore::check_alignment() const {
  for (const Memory& memory : memories_)
    if (memory.kind != Kind::kInput && memory.kind != Kind::kVariable)
      COHORT_CHECK(is_aligned(memory.address, kOperandAlignment));
  for (const void* workspace : workspace_slots_)
    COHORT_CHECK(is_aligned(workspace, kWorkspaceAlignment));
}

}  // namespace cohort
