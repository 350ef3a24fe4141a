#include "cohort/core/runtime/replica_turns.h"

#include <algorithm>
#include <bit>

#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/runtime.h"
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

}  // namespace

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

/// A kernel for one node outside of any executable, on tensors of one bucket's size.
class ReplicaTurns::BucketKernel {
 public:
  BucketKernel(Runtime& runtime, Device& device, std::string_view op, const Bucket& bucket,
               std::vector<void* const*> inputs, void* const* output)
      : graph_(runtime.ops()), step_(&state_) {
    const TensorType type{bucket.dtype, Shape{bucket.num_elements}};
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

/// One level of one bucket: memory, and kernels that move the bucket into it or add it to the
/// bucket.
struct ReplicaTurns::Sum {
  std::shared_ptr<void> memory;
  void* data = nullptr;
  std::unique_ptr<BucketKernel> keep;     ///< level = bucket
  std::unique_ptr<BucketKernel> combine;  ///< bucket = level op bucket
};

ReplicaTurns::ReplicaTurns(Runtime& runtime, Device& device, CollectivePlan& plan, int num_replicas,
                           std::vector<bool> of_each)
    : device_(device), plan_(plan), num_replicas_(num_replicas), of_each_(std::move(of_each)) {
  const int num_levels = std::bit_width(static_cast<unsigned>(num_replicas - 1));
  for (Bucket& bucket : plan.buckets) {
    auto& levels = sums_.emplace_back();
    for (int l = 0; l < num_levels && !bucket.gathers; ++l) {
      Sum& sum = *levels.emplace_back(std::make_unique<Sum>());
      sum.memory = device.allocate(bucket.num_bytes());
      sum.data = sum.memory.get();
      sum.keep = std::make_unique<BucketKernel>(runtime, device, "Copy", bucket,
                                                std::vector<void* const*>{&bucket.data}, &sum.data);
      sum.combine = std::make_unique<BucketKernel>(
          runtime, device, op_name(bucket.op), bucket,
          std::vector<void* const*>{&sum.data, &bucket.data}, &bucket.data);
    }
  }
}

ReplicaTurns::~ReplicaTurns() = default;

void ReplicaTurns::give(size_t index) {
  const Bucket& bucket = plan_.buckets[index];
  if (bucket.gathers) {
    if (bucket.local == bucket.data) return;
    const size_t offset = static_cast<size_t>(replica_) * bucket.num_bytes();
    device_.copy_from_device(static_cast<char*>(bucket.local) + offset, device_, bucket.data,
                             bucket.num_bytes());
    return;
  }
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
  for (size_t b = 0; b < sums_.size(); ++b) bytes += sums_[b].size() * plan_.buckets[b].num_bytes();
  for (const Values& values : values_) bytes += values.memory.size() * values.bytes;
  return bytes;
}

}  // namespace cohort
