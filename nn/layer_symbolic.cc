#include <mutex>

#include "cohort/core/graph/scope.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/nn/layer.h"

/// Calls of layers on symbolic tensors.
namespace cohort::nn {
namespace {

std::vector<TensorType> types_of(const LayerImpl& layer,
                                 const std::vector<SymbolicTensor>& tensors) {
  std::vector<TensorType> types;
  for (const SymbolicTensor& tensor : tensors) {
    if (!tensor.defined()) throw InvalidArgument("{}: got an empty symbolic tensor", layer.name());
    types.push_back(tensor.type());
  }
  return types;
}

SymbolicTensor only_one(const LayerImpl& layer, const std::vector<SymbolicTensor>& tensors,
                        std::string_view what) {
  if (tensors.empty())
    throw FailedPrecondition(
        "{}: {}: got a layer that no functional model calls; want one that was called on symbolic "
        "tensors, or that stands in a Sequential that begins with an Input",
        layer.name(), what);
  if (tensors.size() > 1)
    throw InvalidArgument("{}: {}: got {} tensors; want a layer with one", layer.name(), what,
                          tensors.size());
  return tensors.front();
}

}  // namespace

std::vector<SymbolicTensor> LayerCall::sources() const {
  std::vector<SymbolicTensor> all = inputs;
  if (options.mask.defined()) all.push_back(options.mask);
  all.insert(all.end(), options.initial_state.begin(), options.initial_state.end());
  return all;
}

std::vector<SymbolicTensor> LayerImpl::apply_symbolic(const std::vector<SymbolicTensor>& inputs,
                                                      const SymbolicCallOptions& options) {
  auto call = std::make_shared<LayerCall>();
  call->outputs = trace_types(inputs, options);
  call->layer = Layer(shared_from_this());
  call->inputs = inputs;
  call->options = options;
  call->index = symbolic_calls_++;
  call->device = current_device_scope();
  if (first_symbolic_call_.expired()) first_symbolic_call_ = call;
  std::vector<SymbolicTensor> outputs;
  for (size_t i = 0; i < call->outputs.size(); ++i) outputs.emplace_back(call, static_cast<int>(i));
  return outputs;
}

/// Records the layer in a graph that is thrown away: weights and types stay.
std::vector<TensorType> LayerImpl::trace_types(const std::vector<SymbolicTensor>& inputs,
                                               const SymbolicCallOptions& options) {
  const std::lock_guard lock(default_runtime().tracing());
  Graph scratch(default_runtime().ops());
  GraphScope scope(scratch);
  const auto stand_ins = [&](const std::vector<SymbolicTensor>& tensors) {
    std::vector<Value> values;
    for (const TensorType& type : types_of(*this, tensors))
      values.push_back(scratch.placeholder("input", type));
    return values;
  };
  CallOptions on_values{.initial_state = stand_ins(options.initial_state)};
  if (options.mask.defined()) on_values.mask = stand_ins({options.mask}).front();
  std::vector<TensorType> types;
  for (const Value& output : apply(stand_ins(inputs), on_values)) types.push_back(output.type());
  return types;
}

void LayerImpl::build_for(const std::vector<TensorType>& inputs) {
  const std::lock_guard lock(default_runtime().tracing());
  Graph scratch(default_runtime().ops());
  GraphScope scope(scratch);
  std::vector<Value> values;
  for (const TensorType& type : inputs) values.push_back(scratch.placeholder("input", type));
  apply(values, {});
}

std::vector<SymbolicTensor> LayerImpl::symbolic_inputs() const {
  const std::shared_ptr<const LayerCall> call = first_symbolic_call_.lock();
  return call ? call->inputs : std::vector<SymbolicTensor>();
}

std::vector<SymbolicTensor> LayerImpl::symbolic_outputs() const {
  const std::shared_ptr<const LayerCall> call = first_symbolic_call_.lock();
  std::vector<SymbolicTensor> outputs;
  for (size_t i = 0; call && i < call->outputs.size(); ++i)
    outputs.emplace_back(call, static_cast<int>(i));
  return outputs;
}

SymbolicTensor Layer::input() const { return only_one(impl(), impl().symbolic_inputs(), "input"); }
SymbolicTensor Layer::output() const {
  return only_one(impl(), impl().symbolic_outputs(), "output");
}

}  // namespace cohort::nn
