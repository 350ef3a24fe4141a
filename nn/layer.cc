#include "cohort/nn/layer.h"

#include <algorithm>

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/nn/internal/call_context.h"
#include "cohort/nn/internal/compiled_state.h"
#include "cohort/nn/internal/masks.h"
#include "cohort/nn/internal/names.h"
#include "cohort/nn/internal/reduction.h"
#include "cohort/nn/internal/replica_copies.h"
#include "cohort/nn/internal/warning.h"

namespace cohort::nn {
namespace {

std::vector<TensorType> types_of(const std::vector<Value>& values) {
  std::vector<TensorType> types;
  for (const Value& value : values) types.push_back(value.type());
  return types;
}

}  // namespace

LayerImpl::~LayerImpl() = default;

void LayerImpl::remove_last_child() { children_.pop_back(); }

LayerImpl::LayerImpl(std::string type_name, LayerOptions options)
    : type_name_(std::move(type_name)),
      name_(options.name.empty() ? internal::unique_name(internal::to_snake_case(type_name_))
                                 : std::move(options.name)),
      policy_(options.dtype),
      autocast_(options.autocast),
      trainable_(options.trainable) {
  if (name_.find('/') != std::string::npos)
    throw InvalidArgument("{}: got a name with \"/\"; want one without: names are parts of paths",
                          name_);
}

void LayerImpl::build(std::span<const TensorType>) {}

Config LayerImpl::get_config() const {
  throw Unimplemented(
      "{}: got a layer of class {}, which does not say what it is made of; want get_config(), or "
      "a class made of options that convert to it",
      name_, type_name_);
}

void LayerImpl::set_trainable(bool trainable) {
  trainable_ = trainable;
  for (const auto& [name, layer] : children_) layer->set_trainable(trainable);
}

Variable LayerImpl::add_weight(const std::string& name, WeightOptions options) {
  const std::string path = path_ + "/" + name;
  for (const Variable& weight : own_weights_)
    if (weight.path() == path)
      throw AlreadyExists("{}: got weight {} twice; want different names", name_, name);
  const DType dtype = options.dtype.value_or(variable_dtype());
  const uint64_t seed = default_runtime().random_seed();
  VariableOptions variable{.name = path,
                           .trainable = options.trainable,
                           .synchronization = options.synchronization,
                           .aggregation = options.aggregation};
  auto initial = [initializer = options.initializer, shape = options.shape, dtype, seed, path,
                  copies = internal::initial_copies(variable)] {
    return internal::multiplied(initializer(shape, dtype, {.seed = seed, .path = path}), copies);
  };
  own_weights_.emplace_back(
      std::make_shared<VariableState>(dtype, options.shape, std::move(initial),
                                      std::move(variable)),
      WeightUse{.autocast = options.autocast, .constraint = std::move(options.constraint)});
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
  return x.dtype() == compute_dtype() ? x : ops::cast(x, compute_dtype());
}

void LayerImpl::add_activity_loss(const Regularizer& regularizer, Value y) {
  const internal::CallContext* context = internal::current_call();
  if (!regularizer.defined() || !context || !context->losses) return;
  const bool narrow = y.dtype() == DType::kF16 || y.dtype() == DType::kBF16;
  const Value penalty = regularizer(narrow ? ops::cast(y, DType::kF32) : y);
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
  built_for_.assign(inputs.begin(), inputs.end());
  parts_made();
}

/// Keras' scopes: one begins with a layer of a mixed policy, and layers inside have their own.
std::optional<DType> LayerImpl::autocast_within(const internal::CallContext* outer) const {
  const bool in_scope = policy_.is_mixed() || (outer && outer->autocast);
  return in_scope && autocast_ ? std::optional(compute_dtype()) : std::nullopt;
}

/// Inputs in this layer's dtype, each with its mask.
CallArgs LayerImpl::arguments(const std::vector<Value>& inputs, const CallOptions& options,
                              bool training) {
  CallArgs args{.inputs = inputs, .training = training, .initial_state = options.initial_state};
  if (options.mask.defined() && inputs.size() > 1)
    throw InvalidArgument(
        "{}: got a mask for {} inputs; want one input: masks of several come "
        "with them",
        name_, inputs.size());
  for (Value& input : args.inputs) {
    Value mask = options.mask.defined() ? options.mask : internal::mask_of(input);
    if (mask.defined()) mask = internal::checked_mask(mask, input, name_);
    if (casts_inputs() && is_floating(input.dtype()))
      input = internal::with_mask(as_floating(input), mask);
    args.masks.push_back(mask);
  }
  args.mask = args.masks.front();
  return args;
}

void LayerImpl::pass_masks_on(const CallArgs& args, const std::vector<Value>& outputs) {
  const auto has_mask = [](Value x) { return internal::mask_of(x).defined(); };
  if (std::all_of(outputs.begin(), outputs.end(), has_mask)) return;
  if (supports_masking()) {
    const Value mask = compute_mask(args);
    if (!mask.defined()) return;
    // As in Keras: one mask belongs to the first output.
    internal::set_mask(outputs[0], internal::checked_mask(mask, outputs[0], name_));
    return;
  }
  const auto is_there = [](Value mask) { return mask.defined(); };
  const bool drops = std::any_of(args.masks.begin(), args.masks.end(), is_there);
  if (!drops || !converts_inputs() || has_dropped_a_mask_) return;
  has_dropped_a_mask_ = true;
  internal::warn(distribute::current_strategy(),
                 "{}: got an input with a mask, which layers of class {} do not pass on", name_,
                 type_name_);
}

std::vector<Value> LayerImpl::apply(const std::vector<Value>& inputs, const CallOptions& options) {
  if (inputs.empty()) throw InvalidArgument("{}: got no input; want one or more", name_);
  for (const Value& input : inputs)
    if (!input.defined()) throw InvalidArgument("{}: got an empty value as input", name_);
  const internal::CallContext* outer = internal::current_call();
  const bool training = options.training.value_or(outer ? outer->training : false);
  GraphScope graph(inputs[0].graph());
  NameScope names(name_within_parent());
  const CallArgs args = arguments(inputs, options, training);
  build_once(types_of(args.inputs));
  internal::CallContext context(this, training, autocast_within(outer));
  std::vector<Value> outputs = call(args);
  if (outputs.empty()) throw InvalidArgument("{}: call returned no value; want one or more", name_);
  pass_masks_on(args, outputs);
  if (output_types_.empty() || inputs[0].shape().rank() == 0 || inputs[0].shape()[0].is_symbol()) {
    input_types_ = types_of(inputs);
    output_types_ = types_of(outputs);
  }
  return outputs;
}

}  // namespace cohort::nn
