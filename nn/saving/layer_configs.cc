#include <map>
#include <set>

#include "cohort/nn/internal/functional.h"
#include "cohort/nn/internal/input_layer.h"
#include "cohort/nn/saving/compile_configs.h"
#include "cohort/nn/saving/model_configs.h"
#include "cohort/nn/saving/serialization.h"

namespace cohort::nn {
namespace internal {
namespace {

/// Writes a layer and those inside it.
class LayerWriter {
 public:
  explicit LayerWriter(const Layer& root) {
    count(root);
    met_.clear();
  }

  Config write(const Layer& layer) {
    Config described = describe(layer);
    if (reached_[&layer.impl()] > 1)
      described.set("shared_object_id",
                    static_cast<int64_t>(ids_.emplace(&layer.impl(), ids_.size()).first->second));
    return described;
  }

 private:
  /// Layers that stand in two models are one when they are read.
  void count(const Layer& layer) {
    ++reached_[&layer.impl()];
    if (!met_.insert(&layer.impl()).second) return;
    for (const auto& [name, child] : layer->children()) count(child);
  }

  Config describe(const Layer& layer) {
    if (const auto* input = dynamic_cast<const InputLayerImpl*>(&layer.impl()))
      return describe_input(*input);
    if (const auto* model = dynamic_cast<const SequentialImpl*>(&layer.impl()))
      return describe_sequential(*model);
    if (const auto* model = dynamic_cast<const FunctionalImpl*>(&layer.impl()))
      return describe_functional(*model);
    const SavedClass* known = class_of_layer(layer.impl());
    if (!known)
      throw InvalidArgument(
          "{}: got a layer of class {}, which is not registered; want one of Cohort's, or "
          "register_serializable()",
          layer.name(), layer->type_name());
    const Config own = known->write ? known->write(layer->made_of()) : layer->get_config();
    Config config = Config::members({{"name", layer.name()},
                                     {"trainable", layer.trainable()},
                                     {"dtype", write_field(layer->dtype_policy())}});
    for (const auto& [name, value] : own.as_object())
      if (!config.find(name)) config.set(name, value);
    Config described = describe_as(*known, std::move(config));
    if (!layer->built_for().empty()) {
      Config shapes = Config::list();
      for (const TensorType& type : layer->built_for())
        shapes.push_back(describe_shape(type.shape));
      described.set(
          "build_config",
          Config::members(
              {{"input_shape", layer->built_for().size() == 1 ? shapes.as_list()[0] : shapes}}));
    }
    return described;
  }

  static Config describe_input(const InputLayerImpl& layer) {
    return object("keras.layers", "InputLayer",
                  Config::members({{"batch_shape", describe_shape(layer.type().shape)},
                                   {"dtype", name_of(layer.type().dtype)},
                                   {"sparse", false},
                                   {"ragged", false},
                                   {"name", layer.name()},
                                   {"optional", false}}),
                  Config());
  }

  Config describe_sequential(const SequentialImpl& model) {
    Config layers = Config::list();
    for (const auto& [name, layer] : model.children()) layers.push_back(write(layer));
    Config config = Config::members({{"name", model.name()},
                                     {"trainable", model.trainable()},
                                     {"dtype", write_field(model.dtype_policy())},
                                     {"layers", std::move(layers)}});
    Config shape;
    if (model.built_for().size() == 1) shape = describe_shape(model.built_for()[0].shape);
    if (!shape.is_null()) config.set("build_input_shape", shape);
    Config described = object("keras", "Sequential", std::move(config), Config());
    if (!shape.is_null()) described.set("build_config", Config::members({{"input_shape", shape}}));
    return described;
  }

  using Call = std::shared_ptr<const LayerCall>;

  Config describe_functional(const FunctionalImpl& model) {
    // A call's number among those of its layer that belong to this model.
    std::map<const LayerImpl*, std::map<int, Call>> calls_of;
    for (const Call& call : model.calls()) calls_of[&call->layer.impl()][call->index] = call;
    std::map<const LayerCall*, int64_t> number;
    for (const auto& [layer, calls] : calls_of) {
      int64_t next = 0;
      for (const auto& [index, call] : calls) number[call.get()] = next++;
    }
    Config layers = Config::list();
    for (const auto& [name, layer] : model.children()) {
      Config described = write(layer);
      Config nodes = Config::list();
      for (const auto& [index, call] : calls_of[&layer.impl()])
        if (!call->inputs.empty()) nodes.push_back(describe_call(*call, number));
      described.set("name", layer.name());
      described.set("inbound_nodes", std::move(nodes));
      layers.push_back(std::move(described));
    }
    Config config = Config::members({{"name", model.name()},
                                     {"trainable", model.trainable()},
                                     {"layers", std::move(layers)},
                                     {"input_layers", ends(model.symbolic_inputs(), number)},
                                     {"output_layers", ends(model.symbolic_outputs(), number)}});
    return object("keras.src.models.functional", "Functional", std::move(config), "Functional");
  }

  using Numbers = std::map<const LayerCall*, int64_t>;

  static Config history(const SymbolicTensor& tensor, const Numbers& number) {
    const auto found = number.find(&tensor.call());
    return Config::list({tensor.layer().name(), found == number.end() ? 0 : found->second,
                         static_cast<int64_t>(tensor.index())});
  }
  static Config ends(const std::vector<SymbolicTensor>& tensors, const Numbers& number) {
    if (tensors.size() == 1) return history(tensors[0], number);
    Config list = Config::list();
    for (const SymbolicTensor& tensor : tensors) list.push_back(history(tensor, number));
    return list;
  }
  static Config describe_tensor(const SymbolicTensor& tensor, const Numbers& number) {
    return Config::members(
        {{"class_name", "__keras_tensor__"},
         {"config", Config::members({{"shape", describe_shape(tensor.shape())},
                                     {"dtype", name_of(tensor.dtype())},
                                     {"keras_history", history(tensor, number)}})}});
  }
  static Config describe_tensors(const std::vector<SymbolicTensor>& tensors,
                                 const Numbers& number) {
    Config list = Config::list();
    for (const SymbolicTensor& tensor : tensors) list.push_back(describe_tensor(tensor, number));
    return list;
  }
  static Config describe_call(const LayerCall& call, const Numbers& number) {
    const Config inputs = describe_tensors(call.inputs, number);
    Config keywords = Config::members();
    if (call.options.training) keywords.set("training", *call.options.training);
    if (call.options.mask.defined())
      keywords.set("mask", describe_tensor(call.options.mask, number));
    if (!call.options.initial_state.empty())
      keywords.set("initial_state", describe_tensors(call.options.initial_state, number));
    return Config::members(
        {{"args", Config::list({call.inputs.size() == 1 ? inputs.as_list()[0] : inputs})},
         {"kwargs", std::move(keywords)}});
  }

  static std::string name_of(DType dtype) { return fmt::format("{}", dtype); }
  static Config object(const char* module, const char* name, Config config, Config registered) {
    return Config::members({{"module", module},
                            {"class_name", name},
                            {"config", std::move(config)},
                            {"registered_name", std::move(registered)}});
  }

  std::map<const LayerImpl*, int> reached_;
  std::set<const LayerImpl*> met_;
  std::map<const LayerImpl*, size_t> ids_;
};

}  // namespace

Config describe_shape(const Shape& shape) {
  Config list = Config::list();
  for (int axis = 0; axis < shape.rank(); ++axis)
    list.push_back(shape[axis].is_symbol() ? Config() : Config(shape[axis].number()));
  return list;
}

Config describe_layer(const Layer& layer) { return LayerWriter(layer).write(layer); }

}  // namespace internal

Config serialize(const Layer& layer) {
  Config described = internal::describe_layer(layer);
  if (const auto* model = dynamic_cast<const ModelImpl*>(&layer.impl()))
    if (model->compiled()) described.set("compile_config", internal::describe_compiled(*model));
  return described;
}

std::string Model::to_json() const { return serialize(*this).to_json(); }

}  // namespace cohort::nn
