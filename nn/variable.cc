#include "cohort/nn/variable.h"

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/math.h"
#include "cohort/distribute/strategy.h"
#include "cohort/nn/internal/call_context.h"
#include "cohort/nn/internal/replica_copies.h"

namespace cohort::nn {

Variable::Variable(const Tensor& initial, std::string name, bool trainable)
    : Handle(std::make_shared<VariableState>(
          initial, VariableOptions{.name = std::move(name), .trainable = trainable})) {}

Variable::Variable(const Tensor& initial, VariableOptions options)
    : Handle(std::make_shared<VariableState>(
          internal::multiplied(initial, internal::initial_copies(options)), options)) {}

int internal::initial_copies(const VariableOptions& options) {
  if (options.synchronization != VariableSynchronization::kOnRead) return 1;
  if (options.trainable)
    throw InvalidArgument(
        "variable {}: got trainable with synchronization ON_READ; want trainable = false",
        options.name);
  if (options.aggregation != VariableAggregation::kSum) return 1;
  return distribute::current_strategy().num_replicas_in_sync();
}

Tensor internal::multiplied(const Tensor& value, int times) {
  if (times == 1) return value;
  const bool integers = is_integer(value.dtype());
  Tensor product = value.cast(integers ? DType::kI64 : DType::kF64);
  for (int64_t k = 0; k < product.num_elements(); ++k) {
    if (integers)
      product.data<int64_t>()[k] *= times;
    else
      product.data<double>()[k] *= times;
  }
  return product.cast(value.dtype());
}

std::string Variable::name() const {
  const std::string& full = path();
  return full.substr(full.rfind('/') + 1);
}

Value Variable::read() const {
  const Value value = require_graph("variable " + path()).read(impl_);
  const internal::CallContext* call = internal::current_call();
  const bool casts = autocast_ && call && call->autocast && is_floating(dtype());
  return casts && dtype() != *call->autocast ? ops::cast(value, *call->autocast) : value;
}

}  // namespace cohort::nn
