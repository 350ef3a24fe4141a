#include "cohort/core/ops/internal.h"

namespace cohort::ops {
namespace {

std::vector<TensorType> same_as_input(const InferContext& c) { return {c.input(0)}; }

std::vector<TensorType> nothing(const InferContext&) { return {}; }

std::vector<TensorType> a_number(const InferContext&) { return {{DType::kI32, {}}}; }

}  // namespace

void register_internal(OpRegistry& ops) {
  ops.add({.name = "Copy", .num_inputs = 1, .infer = same_as_input});
  ops.add({.name = "StepVote",
           .num_inputs = 0,
           .infer = a_number,
           .vote = Vote::kCast,
           .stateful = true});
  ops.add({.name = "StepVeto",
           .num_inputs = 1,
           .infer = nothing,
           .kind = OpKind::kUpdate,
           .vote = Vote::kVeto});
}

}  // namespace cohort::ops
