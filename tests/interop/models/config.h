#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cohort/cohort.h"
#include "cohort/core/fields.h"

/// From descriptions in JSON to objects of nn. A description names a class and its arguments as
/// Keras does: {"class": "Dense", "config": {"units": 3, "activation": "relu"}}.
namespace cohort::interop {

using nlohmann::json;

/// The arguments of one object. Every one must be asked for: none is dropped in silence.
class Config {
 public:
  explicit Config(const json& values) : values_(values) {}

  /// field = the argument, where it is given.
  template <class T>
  void set(std::string_view name, T& field);
  /// Throws InvalidArgument where an argument was never asked for.
  void finish(const std::string& of) const;

 private:
  json values_;
  std::vector<std::string> asked_;
};

nn::Regularizer regularizer_of(const json& description);
nn::LearningRate learning_rate_of(const json& description);

/// An argument as a field of an Options.
template <class T>
struct Read {
  static T from(const json& value) { return value.get<T>(); }
};
template <class T>
struct Read<std::optional<T>> {
  static std::optional<T> from(const json& value) {
    return value.is_null() ? std::optional<T>() : Read<T>::from(value);
  }
};
template <>
struct Read<DType> {
  static DType from(const json& value) { return parse_dtype(value.get<std::string>()); }
};
template <>
struct Read<nn::ActivationFunction> {
  static nn::ActivationFunction from(const json& value) { return value.get<std::string>(); }
};
template <>
struct Read<nn::Initializer> {
  static nn::Initializer from(const json& value) {
    return std::string_view(value.get_ref<const std::string&>());
  }
};
template <>
struct Read<nn::DTypePolicy> {
  static nn::DTypePolicy from(const json& value) { return value.get<std::string>(); }
};
template <>
struct Read<nn::Constraint> {
  static nn::Constraint from(const json& value) {
    return value.get_ref<const std::string&>().c_str();
  }
};
template <>
struct Read<nn::Regularizer> {
  static nn::Regularizer from(const json& value) { return regularizer_of(value); }
};
template <>
struct Read<nn::LearningRate> {
  static nn::LearningRate from(const json& value) { return learning_rate_of(value); }
};
template <>
struct Read<nn::Size2D> {
  static nn::Size2D from(const json& value) {
    if (value.is_array()) return {value.at(0).get<int64_t>(), value.at(1).get<int64_t>()};
    return value.get<int64_t>();
  }
};

template <class T>
void Config::set(std::string_view name, T& field) {
  asked_.emplace_back(name);
  if (const auto it = values_.find(name); it != values_.end()) field = Read<T>::from(*it);
}

/// How an object of one class is made from its arguments.
template <class Base>
using Maker = std::function<Base(Config&)>;

/// Options none of which is given; a description gives those that must be.
template <class Made>
Made without_options() {
  return {};
}
template <>
inline nn::Conv2D without_options() {
  return {.filters = 0, .kernel_size = 0};
}

/// Makes a `Made`, an aggregate of its options, with those that are given.
template <class Base, class Made>
Maker<Base> maker() {
  return [](Config& config) -> Base {
    Made made = without_options<Made>();
    for_each_field(made, [&](std::string_view name, auto& field) { config.set(name, field); });
    return made;
  };
}
/// The same of a class that is made from `Options`, by pairs of a name and a member.
template <class Base, class Made, class Options, class... Fields>
Maker<Base> maker(Options defaults, std::pair<const char*, Fields>... fields) {
  return [=](Config& config) -> Base {
    Options options = defaults;
    (config.set(fields.first, options.*fields.second), ...);
    return Made(options);
  };
}

template <class Base>
struct Class {
  const char* name;
  Maker<Base> make;
};

/// What `description` describes, by the class of `known` that it names. Throws InvalidArgument for
/// other classes and arguments.
template <class Base>
Base make(const json& description, const std::vector<Class<Base>>& known) {
  const std::string name = description.at("class");
  for (const Class<Base>& entry : known) {
    if (entry.name != name) continue;
    Config config(description.at("config"));
    Base made = entry.make(config);
    config.finish(name);
    return made;
  }
  throw InvalidArgument("description: got class {}; want one of the tables in tests/interop/models",
                        name);
}

const std::vector<Class<nn::Layer>>& layer_classes();
/// A functional model: inputs, layers by name, calls of layers, outputs.
nn::Model model_of(const json& description);
/// Optimizer, losses, metrics of a model with outputs of these names.
nn::CompileOptions compile_options_of(const json& description,
                                      const std::vector<std::string>& outputs);
/// {"shape": […], "dtype": "float32", "values": […]}
Tensor tensor_of(const json& description);
std::vector<Tensor> tensors_of(const json& descriptions);

}  // namespace cohort::interop
