#include "cohort/nn/layer.h"

#include <algorithm>
#include <mutex>

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/nn/internal/call_context.h"
#include "cohort/nn/internal/compiled_state.h"
#include "cohort/nn/internal/names.h"
#include "cohort/nn/internal/reduction.h"
#include "cohort/nn/internal/replica_copies.h"

namespace cohort::nn {

LayerImpl::~LayerImpl() = default;

void LayerImpl::remove_last_child() { children_.pop_back(); }

LayerImpl::LayerImpl(std::string type_name, LayerOptions options)
    : type_name_(std::move(type_name)),
      name_(options.name.empty() ? internal::unique_name(internal::to_snake_case(type_name_))
                                 : std::move(options.name)),
      dtype_(options.dtype),
      trainable_(options.trainable) {
  if (!is_floating(dtype_))
    throw InvalidArgument("{}: got dtype {}; want a floating one", name_, dtype_);
  if (name_.find('/') != std::string::npos)
    throw InvalidArgument("{}: got a name with \"/\"; want one without: names are parts of paths",
                          name_);
}

void LayerImpl::build(std::span<const TensorType>) {}

void LayerImpl::set_trainable(bool trainable) {
  trainable_ = trainable;
  for (const auto& [name, layer] : children_) layer->set_trainable(trainable);
}

Variable LayerImpl::add_weight(const std::string& name, WeightOptions options) {
  const std::string path = path_ + "/" + name;
  for (const Variable& weight : own_weights_)
    if (weight.path() == path)
      throw AlreadyExists("{}: got weight {} twice; want different names", name_, name);
  const DType dtype = options.dtype.value_or(dtype_);
  const uint64_t seed = default_runtime().random_seed();
  VariableOptions variable{.name = path,
                           .trainable = options.trainable,
                           .synchronization = options.synchronization,
                           .aggregation = options.aggregation};
  auto initial = [initializer = options.initializer, shape = options.shape, dtype, seed, path,
                  copies = internal::initial_copies(variable)] {
    return internal::multiplied(initializer(shape, dtype, {.seed = seed, .path = path}), copies);
  };
  own_weights_.emplace_back(std::make_shared<VariableState>(
      dtype, options.shape, std::move(initial), std::move(variable)));
  if (options.regularizer.defined())
    regularizers_.emplace_back(own_weights_.back(), options.regularizer);
  return own_weights_.back();
}

void LayerImpl::add_child(const std::string& name, const Layer& layer) {
  if (!layer.defined()) throw InvalidArgument("{}: got an empty layer as child {}", name_, name);
  for (const auto& [taken, other] : children_) {
    if (other == layer) return;
    if (taken == name)
      throw InvalidArgument("{}: got two layers called \"{}\"; want unique names", name_, name);
  }
  children_.emplace_back(name, layer);
  if (observer_) layer->observe_parts(observer_);
}

void LayerImpl::observe_parts(const std::shared_ptr<PartsObserver>& observer) {
  observer_ = observer;
  for (const auto& [name, layer] : children_) layer->observe_parts(observer);
}

void LayerImpl::parts_made() const {
  if (const std::shared_ptr<PartsObserver> observer = observer_) observer->parts_made();
}

void LayerImpl::add_loss(Value loss) {
  if (loss.rank() != 0)
    throw InvalidArgument("{}: add_loss: got shape {}; want a scalar", name_, loss.shape());
  const internal::CallContext* context = internal::current_call();
  if (context && context->losses) context->losses->push_back(loss);
}

Value LayerImpl::as_floating(Value x) const {
  return x.dtype() == dtype_ ? x : ops::cast(x, dtype_);
}

void LayerImpl::add_activity_loss(const Regularizer& regularizer, Value y) {
  const internal::CallContext* context = internal::current_call();
  if (!regularizer.defined() || !context || !context->losses) return;
  const Value penalty = regularizer(y);
  add_loss(penalty / internal::global_rows(y, penalty.dtype()));
}

bool LayerImpl::trainable() const { return internal::trainable_in_scope(this, trainable_); }

std::vector<Value> LayerImpl::regularization_losses() const {
  std::set<const LayerImpl*> counted;
  std::vector<Value> losses;
  add_penalties(counted, losses);
  return losses;
}

/// A layer may be reached in several ways. As its weights, it counts where one of them is
/// trainable.
void LayerImpl::add_penalties(std::set<const LayerImpl*>& counted,
                              std::vector<Value>& losses) const {
  if (!trainable() || !counted.insert(this).second) return;
  for (const auto& [weight, regularizer] : regularizers_) {
    if (!internal::trainable_in_scope(weight)) continue;
    losses.push_back(regularizer(weight.read()));
    if (losses.back().rank() != 0)
      throw InvalidArgument("{}: got a penalty of shape {} on {}; want a scalar", name_,
                            losses.back().shape(), weight.path());
  }
  for (const auto& [name, layer] : children_) layer->add_penalties(counted, losses);
}

/// The name under which the calling layer knows this one.
std::string LayerImpl::name_within_parent() const {
  const internal::CallContext* context = internal::current_call();
  if (context && context->layer)
    for (const auto& [name, layer] : context->layer->children_)
      if (layer.shared().get() == this) return name;
  return name_;
}

void LayerImpl::build_once(std::span<const TensorType> inputs) {
  if (built_) return;
  const internal::CallContext* context = internal::current_call();
  const LayerImpl* parent = context ? context->layer : nullptr;
  path_ = (parent ? parent->path_ + "/" : "") + name_within_parent();
  build(inputs);
  built_ = true;
  parts_made();
}

std::vector<Value> LayerImpl::apply(const std::vector<Value>& inputs, const CallOptions& options) {
  if (inputs.empty()) throw InvalidArgument("{}: got no input; want one or more", name_);
  for (const Value& input : inputs)
    if (!input.defined()) throw InvalidArgument("{}: got an empty value as input", name_);
  const internal::CallContext* outer = internal::current_call();
  const bool training = options.training.value_or(outer ? outer->training : false);
  GraphScope graph(inputs[0].graph());
  NameScope names(name_within_parent());
  CallArgs args{inputs, training, options.mask, options.initial_state};
  if (converts_inputs())
    for (Value& input : args.inputs)
      if (is_floating(input.dtype())) input = as_floating(input);
  std::vector<TensorType> types;
  for (const Value& input : args.inputs) types.push_back(input.type());
  build_once(types);
  internal::CallContext context(this, training);
  std::vector<Value> outputs = call(args);
  if (outputs.empty()) throw InvalidArgument("{}: call returned no value; want one or more", name_);
  if (output_types_.empty() || inputs[0].shape().rank() == 0 || inputs[0].shape()[0].is_symbol()) {
    output_types_.clear();
    for (const Value& output : outputs) output_types_.push_back(output.type());
  }
  return outputs;
}

std::vector<SymbolicTensor> LayerImpl::apply_symbolic(const std::vector<SymbolicTensor>& inputs,
                                                      const SymbolicCallOptions& options) {
  std::vector<TensorType> types;
  for (const SymbolicTensor& input : inputs) {
    if (!input.defined()) throw InvalidArgument("{}: got an empty symbolic tensor", name_);
    types.push_back(input.type());
  }
  build_for(types);
  auto call = std::make_shared<LayerCall>();
  call->layer = Layer(shared_from_this());
  call->inputs = inputs;
  call->options = options;
  call->outputs = output_types_;
  call->index = symbolic_calls_++;
  call->device = current_device_scope();
  std::vector<SymbolicTensor> outputs;
  for (size_t i = 0; i < output_types_.size(); ++i) outputs.emplace_back(call, static_cast<int>(i));
  return outputs;
}

/// Records the layer in a graph that is thrown away: weights and output types stay.
void LayerImpl::build_for(const std::vector<TensorType>& inputs) {
  const std::lock_guard lock(default_runtime().tracing());
  Graph scratch(default_runtime().ops());
  GraphScope scope(scratch);
  std::vector<Value> values;
  for (const TensorType& type : inputs) values.push_back(scratch.placeholder("input", type));
  apply(values, {});
}

}  // namespace cohort::nn
