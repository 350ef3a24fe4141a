#include "cohort/distribute/block_sum.h"

#include <bit>
#include <deque>

#include "cohort/core/ops/math.h"
#include "cohort/core/runtime/runtime.h"

namespace cohort::distribute {
namespace {

std::string_view op_name(ops::ReduceOp op) {
  if (op == ops::ReduceOp::kMax) return "Maximum";
  return op == ops::ReduceOp::kMin ? "Minimum" : "Add";
}

}  // namespace

/// A kernel for one node outside of any executable, on tensors of one bucket's size.
class BlockSum::BucketKernel {
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

/// One level: for each bucket, memory, and kernels that move the bucket into it or add it to the
/// bucket.
struct BlockSum::Level {
  struct Part {
    std::shared_ptr<void> memory;
    void* data = nullptr;
    std::unique_ptr<BucketKernel> keep;     ///< level = bucket
    std::unique_ptr<BucketKernel> combine;  ///< bucket = level op bucket
  };
  std::deque<Part> parts;
  bool full = false;
};

BlockSum::BlockSum(Runtime& runtime, Device& device, CollectivePlan& plan, int num_replicas)
    : plan_(plan) {
  const int num_levels = std::bit_width(static_cast<unsigned>(num_replicas));
  for (int l = 0; l < num_levels; ++l) {
    auto level = std::make_unique<Level>();
    for (Bucket& bucket : plan.buckets) {
      if (bucket.gathers) continue;
      Level::Part& part = level->parts.emplace_back();
      part.memory =
          device.allocate(static_cast<size_t>(bucket.num_elements) * size_of(bucket.dtype));
      part.data = part.memory.get();
      part.keep = std::make_unique<BucketKernel>(
          runtime, device, "Copy", bucket, std::vector<void* const*>{&bucket.data}, &part.data);
      part.combine = std::make_unique<BucketKernel>(
          runtime, device, op_name(bucket.op), bucket,
          std::vector<void* const*>{&part.data, &bucket.data}, &bucket.data);
    }
    levels_.push_back(std::move(level));
  }
}

BlockSum::~BlockSum() = default;

void BlockSum::add() {
  size_t level = 0;
  for (int c = count_; c & 1; c >>= 1, ++level)
    for (auto& part : levels_[level]->parts) part.combine->run();
  for (auto& part : levels_[level]->parts) part.keep->run();
  ++count_;
}

void BlockSum::finish() {
  // The lowest occupied level was kept last, so the buckets hold its sum already.
  bool first = true;
  for (size_t level = 0; level < levels_.size(); ++level) {
    if (!(count_ >> level & 1)) continue;
    if (!first)
      for (auto& part : levels_[level]->parts) part.combine->run();
    first = false;
  }
}

}  // namespace cohort::distribute
