#include "cohort/nn/saving/model_configs.h"

#include <map>

#include "cohort/nn/internal/input_layer.h"

namespace cohort::nn::internal {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 40;  // of a dimension

/// Models made while it lives have this policy.
class PolicyScope {
 public:
  explicit PolicyScope(const DTypePolicy& policy) { set_dtype_policy(policy); }
  ~PolicyScope() { set_dtype_policy(outer_); }
  PolicyScope(const PolicyScope&) = delete;
  PolicyScope& operator=(const PolicyScope&) = delete;

 private:
  DTypePolicy outer_ = dtype_policy();
};

std::string name_in(const Config& config) {
  const Config* name = config.find("name");
  return name && name->is_text() ? name->as_text() : "";
}
bool trainable_in(const Config& config) {
  const Config* trainable = config.find("trainable");
  return !trainable || trainable->is_null() || trainable->as_bool();
}

std::any read_input(const Config& config) {
  std::vector<std::string_view> fields{"batch_shape", "batch_input_shape", "dtype", "name"};
  check_unknown("InputLayer", config, fields);
  const Config* shape = config.find("batch_shape");
  const Config* dtype = config.find("dtype");
  return Layer(
      Input({.shape = read_shape(shape ? *shape : config.at("batch_input_shape")),
             .dtype = dtype && dtype->is_text() ? parse_dtype(dtype->as_text()) : DType::kF32,
             .name = name_in(config)}));
}

/// A Sequential that has no InputLayer is built for the shape that it was built for.
std::any read_sequential(const Config& config, const Reading& reading) {
  DTypePolicy policy;
  if (const Config* dtype = config.find("dtype")) read_field(*dtype, reading, policy);
  std::vector<Layer> layers;
  for (const Config& each : config.at("layers").as_list())
    layers.push_back(read_object<Layer>(each, reading));
  const PolicyScope scope(policy);
  const Sequential model({.trainable = trainable_in(config), .name = name_in(config)});
  for (const Layer& layer : layers) model.add(layer);
  if (const Config* shape = config.find("build_input_shape");
      shape && shape->is_list() && !model.built() && !layers.empty())
    model.build({{DType::kF32, Shape{batch_dim()} + read_shape(*shape)}});
  return Layer(model);
}

/// A functional model, by the calls of its layers.
class FunctionalReader {
 public:
  FunctionalReader(const Config& config, const Reading& reading) : config_(config) {
    for (const Config& each : config.at("layers").as_list()) {
      const std::string& name =
          each.find("name") ? each.at("name").as_text() : each.at("config").at("name").as_text();
      Pending pending{name, read_object<Layer>(each, reading), each.at("inbound_nodes").as_list()};
      if (pending.layer.name() != name)
        throw InvalidArgument("functional model: got a layer \"{}\" under the name \"{}\"",
                              pending.layer.name(), name);
      if (!layers_.emplace(name, layers_.size()).second)
        throw InvalidArgument("functional model: got two layers called \"{}\"", name);
      pending_.push_back(std::move(pending));
    }
  }

  Model make() {
    for (Pending& each : pending_) begin(each);
    for (bool progress = true; progress;) {
      progress = false;
      for (Pending& each : pending_)
        while (each.done < each.calls.size() && is_ready(each.calls[each.done])) {
          call(each);
          progress = true;
        }
    }
    for (const Pending& each : pending_)
      if (each.done < each.calls.size())
        throw InvalidArgument(
            "functional model: layer \"{}\" is called on what no layer gives, or on what follows "
            "from it",
            each.name);
    return Model({.inputs = ends("input_layers"),
                  .outputs = ends("output_layers"),
                  .name = name_in(config_),
                  .trainable = trainable_in(config_)});
  }

 private:
  struct Pending {
    std::string name;
    Layer layer;
    Config::List calls;
    size_t done = 0;
    std::vector<std::vector<SymbolicTensor>> results = {};
  };

  static void begin(Pending& pending) {
    const auto* input = dynamic_cast<const InputLayerImpl*>(&pending.layer.impl());
    if (!input) return;
    pending.calls.clear();
    pending.results.push_back({input->symbol()});
  }

  static bool is_tensor(const Config& config) {
    const Config* name = config.find("class_name");
    return name && name->is_text() && name->as_text() == "__keras_tensor__";
  }
  /// Null where the call that makes it is still to be made.
  const SymbolicTensor* find(const Config& history) const {
    const Config::List& parts = history.as_list();
    if (parts.size() != 3)
      throw InvalidArgument("functional model: got a history of {} parts; want layer, call, tensor",
                            parts.size());
    const auto layer = layers_.find(parts[0].as_text());
    if (layer == layers_.end())
      throw InvalidArgument("functional model: got a tensor of \"{}\"; want one of its layers",
                            parts[0].as_text());
    const auto& results = pending_[layer->second].results;
    const int64_t call = parts[1].as_int(), index = parts[2].as_int();
    if (call < 0 || static_cast<size_t>(call) >= results.size()) return nullptr;
    const auto& tensors = results[static_cast<size_t>(call)];
    if (index < 0 || static_cast<size_t>(index) >= tensors.size())
      throw InvalidArgument("functional model: got tensor {} of {} that \"{}\" gives", index,
                            tensors.size(), parts[0].as_text());
    return &tensors[static_cast<size_t>(index)];
  }

  /// All tensors in a value of any structure.
  static void tensors_in(const Config& config, std::vector<const Config*>& found) {
    if (is_tensor(config))
      found.push_back(&config.at("config").at("keras_history"));
    else if (config.is_list())
      for (const Config& each : config.as_list()) tensors_in(each, found);
    else if (config.is_object())
      for (const auto& [name, value] : config.as_object()) tensors_in(value, found);
  }
  bool is_ready(const Config& call) const {
    std::vector<const Config*> needed;
    tensors_in(call, needed);
    for (const Config* each : needed)
      if (!find(*each)) return false;
    return true;
  }

  std::vector<SymbolicTensor> tensors_of(const std::string& layer, const Config& config) const {
    std::vector<SymbolicTensor> tensors;
    const Config::List one{config};
    for (const Config& each : config.is_list() ? config.as_list() : one) {
      if (!is_tensor(each))
        throw InvalidArgument("{}: got a call on what is no tensor, {}; want tensors", layer,
                              each.to_json().substr(0, 60));
      tensors.push_back(*find(each.at("config").at("keras_history")));
    }
    return tensors;
  }

  static SymbolicTensor only_one(const std::string& layer,
                                 const std::vector<SymbolicTensor>& tensors) {
    if (tensors.size() != 1)
      throw InvalidArgument("{}: got {} masks; want one", layer, tensors.size());
    return tensors[0];
  }

  void call(Pending& pending) {
    const Config& call = pending.calls[pending.done++];
    const Config::List& arguments = call.at("args").as_list();
    if (arguments.size() != 1)
      throw InvalidArgument(
          "{}: got a call with {} arguments; want one, a tensor or a list of them", pending.name,
          arguments.size());
    SymbolicCallOptions options;
    for (const auto& [name, value] : call.at("kwargs").as_object()) {
      if (value.is_null()) continue;
      if (name == "training")
        options.training = value.as_bool();
      else if (name == "mask")
        options.mask = only_one(pending.name, tensors_of(pending.name, value));
      else if (name == "initial_state")
        options.initial_state = tensors_of(pending.name, value);
      else
        throw InvalidArgument(
            "{}: got a call with the argument {}; want training, mask or initial_state",
            pending.name, name);
    }
    pending.results.push_back(pending.layer.call(tensors_of(pending.name, arguments[0]), options));
  }

  std::vector<SymbolicTensor> ends(const char* which) const {
    const Config::List& list = config_.at(which).as_list();
    const bool one = list.size() == 3 && list[0].is_text();
    std::vector<SymbolicTensor> tensors;
    const Config::List only{config_.at(which)};
    for (const Config& each : one ? only : list) {
      const SymbolicTensor* tensor = find(each);
      if (!tensor)
        throw InvalidArgument("functional model: {}: got a call that there is not", which);
      tensors.push_back(*tensor);
    }
    return tensors;
  }

  const Config& config_;
  std::vector<Pending> pending_;
  std::map<std::string, size_t> layers_;
};

}  // namespace

Shape read_shape(const Config& batch_shape) {
  const Config::List& sizes = batch_shape.as_list();
  if (sizes.empty()) throw InvalidArgument("got a shape without a batch dimension");
  Shape shape;
  for (size_t i = 1; i < sizes.size(); ++i) {
    if (sizes[i].is_null())
      throw InvalidArgument(
          "got the shape {}; want numbers behind the batch: Cohort has no other symbolic dimension",
          batch_shape.to_json());
    if (sizes[i].as_int() < 0 || sizes[i].as_int() > kMaxSize)
      throw InvalidArgument("got the shape {}; want sizes of 0 to {}", batch_shape.to_json(),
                            kMaxSize);
    shape.push_back(sizes[i].as_int());
  }
  return shape;
}

Model read_functional(const Config& config, const Reading& reading) {
  return FunctionalReader(config, reading).make();
}

std::optional<std::any> read_structure(const std::string& class_name, const Config& config,
                                       const Reading& reading) {
  const Config& inner = config.at("config");
  if (class_name == "InputLayer") return read_input(inner);
  if (class_name == "Sequential") return read_sequential(inner, reading);
  if (class_name == "Functional") return std::any(Layer(read_functional(inner, reading)));
  return std::nullopt;
}

}  // namespace cohort::nn::internal
