#include "cohort/core/runtime/replica_turns.h"

#include <algorithm>
#include <bit>
#include <map>

#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/aliases.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/schedule.h"
#include "cohort/core/runtime/step_vote.h"

namespace cohort {
namespace {

std::string_view op_name(ops::ReduceOp op) {
  if (op == ops::ReduceOp::kMax) return "Maximum";
  return op == ops::ReduceOp::kMin ? "Minimum" : "Add";
}

std::vector<bool> after_collectives(const Graph& graph) {
  std::vector<bool> after(graph.nodes().size(), false);
  for (const auto& node : graph.nodes())
    after[node->id()] = is_collective(*node) ||
                        std::any_of(node->inputs().begin(), node->inputs().end(),
                                    [&](const Value& input) { return after[input.node()->id()]; });
  return after;
}

using Input = std::pair<const Node*, size_t>;  ///< of a collective

/// By the node behind which a collective starts: its inputs of earlier segments.
std::map<const Node*, std::vector<Input>> early_inputs(const Schedule& schedule) {
  std::map<const Node*, size_t> segment_of;
  std::map<const Node*, std::vector<Input>> early;
  const Node* last = nullptr;
  size_t segment = 0;
  for (size_t position = 0; position < schedule.entries.size(); ++position) {
    segment +=
        static_cast<size_t>(std::count(schedule.cuts.begin(), schedule.cuts.end(), position));
    const ScheduleEntry& entry = schedule.entries[position];
    if (entry.kind == ScheduleEntry::Kind::kCompute) {
      segment_of[entry.node] = segment;
      last = entry.node;
    }
    if (entry.kind != ScheduleEntry::Kind::kStart) continue;
    for (size_t i = 0; i < entry.node->inputs().size(); ++i)
      if (segment_of.at(root_of(entry.node->inputs()[i]).node()) < segment)
        early[last].emplace_back(entry.node, i);
  }
  return early;
}

}  // namespace

GraphFunction give_in_one_turn(GraphFunction function, const std::vector<bool>& of_each) {
  const std::vector<bool> every_turn =
      nodes_of_every_turn(*function.graph, function.fetches, of_each);
  const auto schedules = make_schedules(
      *function.graph, [](const Node&) { return nullptr; }, every_turn);
  if (schedules.empty() || schedules.front().cuts.empty()) return function;
  const auto early = early_inputs(schedules.front());
  if (early.empty()) return function;
  Rewriter rewriter(*function.graph, function.fetches);
  std::map<Input, Value> copies;
  for (const Node* node : rewriter.nodes()) {
    std::vector<Value> inputs = rewriter.mapped_inputs(*node);
    for (size_t i = 0; i < inputs.size(); ++i)
      if (const auto copy = copies.find({node, i}); copy != copies.end()) inputs[i] = copy->second;
    rewriter.copy(*node, node->attrs(), std::move(inputs));
    const auto starts = early.find(node);
    if (starts == early.end()) continue;
    for (const Input& input : starts->second) {
      Node* copy = rewriter.graph().add("Copy", {rewriter[input.first->inputs()[input.second]]});
      copy->set_device(input.first->device());
      copy->set_stage(input.first->stage());
      copies[input] = copy->output();
    }
  }
  return rewriter.finish();
}

std::vector<bool> fetches_of_each_replica(const Graph& graph, std::span<const Value> fetches) {
  const std::vector<bool> after = after_collectives(graph), differs = differing_nodes(graph);
  std::vector<bool> of_each;
  for (const Value& fetch : fetches)
    of_each.push_back(!after[fetch.node()->id()] || differs[fetch.node()->id()]);
  return of_each;
}

std::vector<bool> nodes_of_every_turn(const Graph& graph, std::span<const Value> fetches,
                                      const std::vector<bool>& of_each) {
  std::vector<bool> needed(graph.nodes().size(), false);
  for (size_t i = 0; i < fetches.size(); ++i)
    if (of_each[i]) needed[fetches[i].node()->id()] = true;
  for (auto it = graph.nodes().rbegin(); it != graph.nodes().rend(); ++it) {
    const Node& node = **it;
    if (!needed[node.id()] && !is_collective(node)) continue;
    needed[node.id()] = true;
    for (const Value& input : node.inputs()) needed[input.node()->id()] = true;
    for (const Node* before : node.control_inputs()) needed[before->id()] = true;
  }
  return needed;
}

/// What the replicas of a device add up: a bucket, or this rank's range of it.
struct ReplicaTurns::Summed {
  TensorType type;
  void* const* slot;
};

/// A kernel for one node outside of any executable.
class ReplicaTurns::SumKernel {
 public:
  SumKernel(Runtime& runtime, Device& device, std::string_view op, const TensorType& type,
            std::vector<void* const*> inputs, void* const* output)
      : graph_(runtime.ops()), step_(&state_) {
    std::vector<Value> values;
    std::vector<Operand> operands;
    for (void* const* slot : inputs) {
      values.push_back(graph_.placeholder("x", type));
      operands.push_back({type.dtype, type.shape, slot, nullptr});
    }
    const Operand result{type.dtype, type.shape, output, nullptr};
    kernel_ = runtime.kernels().make({.node = *graph_.add(op, values),
                                      .inputs = operands,
                                      .outputs = std::span(&result, 1),
                                      .variables = {},
                                      .workspace = &workspace_,
                                      .step = &step_,
                                      .device = device});
    memory_ = device.allocate(kernel_->workspace_bytes());
    workspace_ = memory_.get();
  }

  void run() { kernel_->run(); }

 private:
  Graph graph_;
  StepState state_;
  const StepState* step_;
  void* workspace_ = nullptr;
  std::shared_ptr<void> memory_;
  std::unique_ptr<Kernel> kernel_;
};

/// One level of one bucket: memory, and kernels that move what is summed into it or add it to that.
struct ReplicaTurns::Sum {
  size_t bytes = 0;  ///< that it has for itself
  std::shared_ptr<void> memory;
  void* data = nullptr;
  std::unique_ptr<SumKernel> keep;     ///< level = summed
  std::unique_ptr<SumKernel> combine;  ///< summed = level op summed
};

ReplicaTurns::ReplicaTurns(Runtime& runtime, Device& device, CollectivePlan& plan, int num_replicas,
                           std::vector<bool> of_each)
    : device_(device), plan_(plan), num_replicas_(num_replicas), of_each_(std::move(of_each)) {
  const int num_levels = std::bit_width(static_cast<unsigned>(num_replicas - 1));
  for (const Bucket& bucket : plan.buckets) {
    sums_.emplace_back();
    for (int level = 0; level < num_levels && !bucket.gathers; ++level)
      add_level(runtime, bucket, level + 1 == num_levels);
  }
}

ReplicaTurns::~ReplicaTurns() = default;

ReplicaTurns::Summed ReplicaTurns::summed_of(const Bucket& bucket) const {
  if (exchanges_each() && bucket.scatters)
    return {{bucket.dtype, Shape{bucket.own_elements}}, &bucket.scattered};
  return {{bucket.dtype, Shape{bucket.num_elements}}, &bucket.data};
}

/// The last level lies where the result belongs, if that is elsewhere than what is summed.
void ReplicaTurns::add_level(Runtime& runtime, const Bucket& bucket, bool is_last) {
  const Summed summed = summed_of(bucket);
  Sum& sum = *sums_.back().emplace_back(std::make_unique<Sum>());
  if (is_last && bucket.ring) {
    sum.data = bucket.own;
  } else {
    sum.bytes = static_cast<size_t>(summed.type.shape.num_elements()) * size_of(bucket.dtype);
    sum.memory = device_.allocate(sum.bytes);
    sum.data = sum.memory.get();
  }
  sum.keep = std::make_unique<SumKernel>(runtime, device_, "Copy", summed.type,
                                         std::vector{summed.slot}, &sum.data);
  sum.combine =
      std::make_unique<SumKernel>(runtime, device_, op_name(bucket.op), summed.type,
                                  std::vector<void* const*>{&sum.data, summed.slot}, summed.slot);
}

void ReplicaTurns::give(size_t index) {
  Bucket& bucket = plan_.buckets[index];
  if (!bucket.gathers) {
    if (!exchanges_each()) add(index);
  } else if (exchanges_each()) {
    bucket.arriving =
        static_cast<char*>(bucket.gathered) + static_cast<size_t>(replica_) * bucket.arriving_bytes;
  } else if (bucket.local != bucket.data) {
    const size_t offset = static_cast<size_t>(replica_) * bucket.num_bytes();
    device_.copy_from_device(static_cast<char*>(bucket.local) + offset, device_, bucket.data,
                             bucket.num_bytes());
  }
}

void ReplicaTurns::take(size_t index) {
  const Bucket& bucket = plan_.buckets[index];
  if (bucket.gathers) return;
  add(index);
  if (is_last() && bucket.ring) sums_[index].back()->keep->run();
}

/// Adds what one replica has to what those before it had, in tree order, as a binary counter adds:
/// level k holds the sum of 2^k replicas until its neighbour is complete.
void ReplicaTurns::add(size_t index) {
  const auto& levels = sums_[index];
  size_t level = 0;
  for (int given = replica_; given & 1; given >>= 1, ++level) levels[level]->combine->run();
  if (!is_last()) {
    levels[level]->keep->run();
    return;
  }
  for (++level; num_replicas_ >> level; ++level)
    if (num_replicas_ >> level & 1) levels[level]->combine->run();
}

void ReplicaTurns::grow(Device& device, size_t bytes) {
  auto known = std::find_if(values_.begin(), values_.end(),
                            [&](const Values& values) { return values.device == &device; });
  if (known == values_.end()) known = values_.insert(known, Values{&device});
  if (bytes <= known->bytes) return;
  known->memory.clear();
  for (int r = 0; r < num_replicas_; ++r) known->memory.push_back(device.allocate(bytes));
  known->bytes = bytes;
}

char* ReplicaTurns::values(const Device& device, int replica) const {
  for (const Values& values : values_)
    if (values.device == &device && values.bytes > 0)
      return static_cast<char*>(values.memory[static_cast<size_t>(replica)].get());
  return nullptr;
}

size_t ReplicaTurns::num_bytes() const {
  size_t bytes = 0;
  for (const auto& levels : sums_)
    for (const auto& sum : levels) bytes += sum->bytes;
  for (const Values& values : values_) bytes += values.memory.size() * values.bytes;
  return bytes;
}

size_t ReplicaTurns::gradient_bytes() const {
  size_t bytes = 0;
  for (size_t b = 0; b < sums_.size(); ++b)
    for (const auto& sum : sums_[b])
      if (plan_.buckets[b].scatters) bytes += sum->bytes;
  return bytes;
}

}  // namespace cohort
