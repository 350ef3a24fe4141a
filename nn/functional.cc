#include <algorithm>
#include <map>
#include <set>

#include "cohort/core/graph/scope.h"
#include "cohort/nn/internal/functional.h"
#include "cohort/nn/internal/input_layer.h"
#include "cohort/nn/internal/masks.h"

namespace cohort::nn::internal {
namespace {

using Call = std::shared_ptr<const LayerCall>;

/// Keras' order of the layers of a graph. The depth of a call is the longest way from it to an
/// output, not less than that of the other calls of its layer; deeper ones come first, equals in
/// the order in which a walk from the outputs meets their layers.
class Ordering {
 public:
  explicit Ordering(const std::vector<SymbolicTensor>& outputs) {
    for (const SymbolicTensor& output : outputs) visit(output.shared_call());
    for (auto it = finished_.rbegin(); it != finished_.rend(); ++it) {
      int& of_layer = layer_depth_[(*it)->layer.shared().get()];
      int& depth = depth_[it->get()];
      depth = of_layer = std::max(depth, of_layer);
      for (const SymbolicTensor& input : (*it)->sources()) {
        int& below = depth_[input.shared_call().get()];
        below = std::max(below, depth + 1);
      }
    }
  }

  std::vector<Call> calls() const {
    std::vector<Call> ordered = finished_;
    std::stable_sort(ordered.begin(), ordered.end(), [&](const Call& a, const Call& b) {
      const int depth_a = depth_.at(a.get()), depth_b = depth_.at(b.get());
      if (depth_a != depth_b) return depth_a > depth_b;
      return met_.at(a->layer.shared().get()) < met_.at(b->layer.shared().get());
    });
    return ordered;
  }

 private:
  void visit(const Call& call) {
    if (!seen_.insert(call.get()).second) return;
    met_.emplace(call->layer.shared().get(), met_.size());
    for (const SymbolicTensor& input : call->sources()) visit(input.shared_call());
    finished_.push_back(call);
  }

  std::set<const LayerCall*> seen_;
  std::map<const LayerImpl*, size_t> met_;
  std::vector<Call> finished_;
  std::map<const LayerCall*, int> depth_;
  std::map<const LayerImpl*, int> layer_depth_;
};

}  // namespace

FunctionalImpl::FunctionalImpl(ModelOptions options)
    : ModelImpl("Functional", {.trainable = options.trainable, .name = std::move(options.name)}),
      inputs_(std::move(options.inputs)),
      outputs_(std::move(options.outputs)) {
  if (inputs_.empty() || outputs_.empty())
    throw InvalidArgument("{}: got {} inputs, {} outputs; want one or more of each", name(),
                          inputs_.size(), outputs_.size());
  for (const SymbolicTensor& input : inputs_)
    if (!input.call().inputs.empty())
      throw InvalidArgument("{}: got the result of layer {} as an input; want results of Input",
                            name(), input.layer().name());
  calls_ = Ordering(outputs_).calls();
  for (const Call& call : calls_) {
    const bool given = std::any_of(inputs_.begin(), inputs_.end(), [&](const SymbolicTensor& t) {
      return t.shared_call() == call;
    });
    if (call->inputs.empty() && !given)
      throw InvalidArgument("{}: got outputs that depend on input {}; want it among the inputs",
                            name(), call->layer.name());
    child(call->layer.name(), call->layer);
  }
  for (const SymbolicTensor& input : inputs_) child(input.layer().name(), input.layer());
  std::vector<TensorType> types;
  for (const SymbolicTensor& input : inputs_) types.push_back(input.type());
  build_for(types);
}

// The first output of a layer is called as the layer, the next ones "name_1", "name_2", unless
// another layer's output is called so.
std::vector<std::string> FunctionalImpl::output_names() const {
  std::set<std::string> taken;
  for (const SymbolicTensor& output : outputs_) taken.insert(output.layer().name());
  std::set<std::string> met;
  std::vector<std::string> names;
  for (const SymbolicTensor& output : outputs_) {
    const std::string layer = output.layer().name();
    std::string name = layer;
    for (int i = 1; (name != layer && taken.contains(name)) || !met.insert(name).second; ++i)
      name = layer + "_" + std::to_string(i);
    names.push_back(name);
  }
  return names;
}

std::vector<Value> FunctionalImpl::call(const CallArgs& args) {
  if (args.inputs.size() != inputs_.size())
    throw InvalidArgument("{}: got {} inputs; want {}", name(), args.inputs.size(), inputs_.size());
  std::map<const LayerCall*, std::vector<Value>> results;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const auto& input = static_cast<const InputLayerImpl&>(inputs_[i].layer().impl());
    results[&inputs_[i].call()] = {with_mask(input.convert(args.inputs[i]), args.masks[i])};
  }
  const auto value_of = [&](const SymbolicTensor& tensor) {
    return results.at(&tensor.call())[static_cast<size_t>(tensor.index())];
  };
  for (const Call& call : calls_) {
    if (call->inputs.empty()) continue;
    const auto values_of = [&](const std::vector<SymbolicTensor>& tensors) {
      std::vector<Value> values;
      for (const SymbolicTensor& tensor : tensors) values.push_back(value_of(tensor));
      return values;
    };
    const SymbolicCallOptions& options = call->options;
    const DeviceScope scope(call->device.to_string());
    results[call.get()] = call->layer.call(
        values_of(call->inputs), {.training = options.training,
                                  .mask = options.mask.defined() ? value_of(options.mask) : Value(),
                                  .initial_state = values_of(options.initial_state)});
  }
  std::vector<Value> outputs;
  for (const SymbolicTensor& output : outputs_) outputs.push_back(value_of(output));
  return outputs;
}

SequentialImpl::SequentialImpl(const SequentialOptions& options)
    : ModelImpl("Sequential", {.trainable = options.trainable, .name = options.name}) {}

void SequentialImpl::add(const Layer& layer) {
  if (!layer.defined()) throw InvalidArgument("{}: add: got an empty layer", name());
  for (const auto& [taken, other] : children())
    if (taken == layer.name())
      throw InvalidArgument("{}: add: got two layers called \"{}\"; want unique names", name(),
                            taken);
  child(layer.name(), layer);
  change_structure();
  build_if_input_is_known();
  extend_chain();
}

void SequentialImpl::pop() {
  if (children().empty()) throw FailedPrecondition("{}: pop: got no layer to take away", name());
  remove_last_child();
  if (chain_.size() > children().size()) chain_.pop_back();
  change_structure();
  build_if_input_is_known();
}

void SequentialImpl::build_if_input_is_known() {
  if (children().empty()) return;
  const auto* input = dynamic_cast<const InputLayerImpl*>(&children().front().second.impl());
  if (input) build_for({input->type()});
}

/// By the layer that was added last; ends where a layer gives several values.
void SequentialImpl::extend_chain() {
  const Layer& layer = children().back().second;
  if (children().size() == 1) {
    chain_.clear();
    if (const auto* input = dynamic_cast<const InputLayerImpl*>(&layer.impl()))
      chain_.push_back(input->symbol());
  } else if (chain_.size() + 1 == children().size() && layer->output_types().size() == 1) {
    chain_.push_back(layer(chain_.back()));
  }
}

std::vector<SymbolicTensor> SequentialImpl::symbolic_inputs() const {
  return chain_.empty() ? LayerImpl::symbolic_inputs() : std::vector{chain_.front()};
}
std::vector<SymbolicTensor> SequentialImpl::symbolic_outputs() const {
  return chain_.empty() || chain_.size() != children().size() ? LayerImpl::symbolic_outputs()
                                                              : std::vector{chain_.back()};
}

std::vector<std::string> SequentialImpl::output_names() const {
  return {children().empty() ? "output" : children().back().second.name()};
}

std::vector<Value> SequentialImpl::call(const CallArgs& args) {
  if (children().empty()) throw FailedPrecondition("{}: got no layers; call add()", name());
  std::vector<Value> values = args.inputs;
  for (size_t i = 0; i < values.size(); ++i) values[i] = with_mask(values[i], args.masks[i]);
  for (const auto& [name, layer] : children()) values = layer.call(values);
  return values;
}

}  // namespace cohort::nn::internal

namespace cohort::nn {

Model::Model(ModelOptions options)
    : Layer(std::make_shared<internal::FunctionalImpl>(std::move(options))) {}

Sequential::Sequential(SequentialOptions options)
    : Model(std::make_shared<internal::SequentialImpl>(options)) {}

Sequential::Sequential(std::vector<Layer> layers, SequentialOptions options)
    : Sequential(std::move(options)) {
  for (const Layer& layer : layers) add(layer);
}

void Sequential::add(const Layer& layer) const {
  static_cast<internal::SequentialImpl&>(impl()).add(layer);
}
void Sequential::pop() const { static_cast<internal::SequentialImpl&>(impl()).pop(); }

}  // namespace cohort::nn
