#include "cohort/nn/saving/serialization.h"

#include <algorithm>

#include "cohort/core/runtime/runtime.h"
#include "cohort/nn/loss_scale.h"
#include "cohort/nn/saving/keras_classes.h"
#include "cohort/nn/saving/model_configs.h"

namespace cohort::nn {
namespace internal {
namespace {

const SavedClass* keras_class(const std::string& module, const std::string& name) {
  for (const SavedClass& each : keras_classes())
    if (each.name == name && each.module == module) return &each;
  return nullptr;
}

/// The class of these options; null: of none that is known.
const SavedClass* class_of(const std::any& options) {
  if (!options.has_value()) return nullptr;
  for (const SavedClass& each : keras_classes())
    if (each.options == options.type()) return &each;
  return object_registry().of_options(options.type());
}

Config describe(const char* what, const std::string& name, const std::any& options) {
  const SavedClass* known = class_of(options);
  if (!known)
    throw InvalidArgument(
        "{}{}: got one made of {}; want one of Cohort's, or options that are registered "
        "(register_serializable)",
        what, name.empty() ? "" : " " + name,
        options.has_value() ? "a class that is not registered" : "a function");
  return describe_as(*known, known->write(options));
}

std::string text_or_empty(const Config* config) {
  return config && config->is_text() ? config->as_text() : "";
}

/// A user's class by the name it is registered under, or, as in Keras, by its own alone.
const SavedClass* custom_class(const Config& config, const Reading& reading) {
  const std::string name = text_or_empty(config.find("class_name"));
  const std::string registered = text_or_empty(config.find("registered_name"));
  const ObjectRegistry& of_program = object_registry();
  for (const ObjectRegistry* known : {&reading.custom_objects, &of_program})
    for (const std::string& each : {registered, name})
      if (const SavedClass* found = each.empty() ? nullptr : known->called(each)) return found;
  return nullptr;
}

std::any make_described(const Config& config, const Reading& reading) {
  const std::string& name = config.at("class_name").as_text();
  const std::string module = text_or_empty(config.find("module"));
  const Config& inner = config.at("config");
  if (const SavedClass* custom = custom_class(config, reading)) return custom->make(inner, reading);
  if (module.starts_with("keras")) {
    if (const auto model = read_structure(name, config, reading)) return *model;
    if (const SavedClass* known = keras_class(module, name)) return known->make(inner, reading);
  }
  throw InvalidArgument(
      "got an object of class {}{}{}; want one of Cohort's layers, losses, metrics, optimizers, …, "
      "or one that is registered",
      module, module.empty() ? "" : ".", name);
}

}  // namespace

Config describe_as(const SavedClass& known, Config config) {
  return Config::members(
      {{"module", known.module.empty() ? Config() : Config(known.module)},
       {"class_name", known.name},
       {"config", std::move(config)},
       {"registered_name",
        known.registered_name.empty() ? Config() : Config(known.registered_name)}});
}

const SavedClass* class_of_layer(const LayerImpl& layer) {
  if (const SavedClass* known = class_of(layer.made_of())) return known;
  return object_registry().of_layers(layer.type_name());
}

std::any read_any_object(const Config& config, const Reading& reading) {
  if (!config.is_object() || !config.find("class_name"))
    throw InvalidArgument("got what is no object; want one with \"class_name\" and \"config\"");
  const Config* id = config.find("shared_object_id");
  if (id && id->is_int())
    if (const auto met = reading.shared_layers.find(id->as_int());
        met != reading.shared_layers.end())
      return met->second;
  std::any made = make_described(config, reading);
  if (const Layer* layer = std::any_cast<Layer>(&made); layer && id && id->is_int())
    reading.shared_layers[id->as_int()] = *layer;
  return made;
}

void throw_other_kind(const Config& config, const char* wanted) {
  throw InvalidArgument("got an object of class {}; want a {}", config.at("class_name").as_text(),
                        wanted);
}

void check_unknown(const std::string& name, const Config& config,
                   const std::vector<std::string_view>& fields) {
  for (const auto& [member, value] : config.as_object()) {
    if (value.is_null() || std::find(fields.begin(), fields.end(), member) != fields.end())
      continue;
    const FixedMember* fixed = nullptr;
    for (const FixedMember& each : fixed_members())
      if (member == each.member && (name == each.name || !*each.name)) fixed = &each;
    // Of metrics and schedules, which have no field of the kind, these change no number.
    if (!fixed && (member == "dtype" || member == "name" || member == "trainable")) continue;
    if (!fixed || !(fixed->value == value))
      throw InvalidArgument("{}: {}: got {}; want {}", name, member, value.to_json(),
                            fixed ? fixed->value.to_json() : "none: Cohort lacks this argument");
  }
}

void write_fixed(const std::string& name, Config& config) {
  for (const FixedMember& each : fixed_members())
    if (each.written && name == each.name) config.set(each.member, each.value);
}

}  // namespace internal

ObjectRegistry& object_registry() {
  static ObjectRegistry* const kept = [] {
    auto made = std::make_shared<ObjectRegistry>();
    default_runtime().keep(made);
    return made.get();
  }();
  return *kept;
}

void ObjectRegistry::add(internal::SavedClass saved) {
  if (called(saved.registered_name))
    throw AlreadyExists("registry: got the class {} twice; want different names",
                        saved.registered_name);
  classes_.push_back(std::make_shared<const internal::SavedClass>(std::move(saved)));
}

void ObjectRegistry::add_layer(const std::string& type_name,
                               std::function<Layer(const Config&)> from_config,
                               const std::string& package) {
  add({.module = "",
       .name = type_name,
       .registered_name = package + ">" + type_name,
       .make = [from_config = std::move(from_config)](const Config& config,
                                                      const internal::Reading&) -> std::any {
         return from_config(config);
       }});
}

void ObjectRegistry::add_activation(const std::string& name, std::function<Value(Value)> function) {
  if (activation(name))
    throw AlreadyExists("registry: got the activation {} twice; want different names", name);
  activations_.emplace_back(name, std::move(function));
}

const internal::SavedClass* ObjectRegistry::of_options(const std::type_info& options) const {
  for (const auto& each : classes_)
    if (each->options == options) return each.get();
  return nullptr;
}
const internal::SavedClass* ObjectRegistry::of_layers(const std::string& type_name) const {
  for (const auto& each : classes_)
    if (each->options == typeid(void) && each->name == type_name) return each.get();
  return nullptr;
}
const internal::SavedClass* ObjectRegistry::called(const std::string& name) const {
  for (const auto& each : classes_)
    if (each->registered_name == name || each->name == name) return each.get();
  return nullptr;
}
const std::function<Value(Value)>* ObjectRegistry::activation(const std::string& name) const {
  for (const auto& [known, function] : activations_)
    if (known == name) return &function;
  return nullptr;
}

Config serialize(const Optimizer& optimizer) {
  Config described = internal::describe("optimizer", optimizer->name(), optimizer->made_of());
  Config config = described.at("config");
  if (!optimizer->options().learning_rate.is_scheduled())
    config.set("learning_rate", optimizer.learning_rate());
  described.set("config", std::move(config));
  const LossScale* scale = optimizer->loss_scale();
  if (!scale) return described;
  return internal::describe_as(
      *internal::keras_class("keras.optimizers", "LossScaleOptimizer"),
      Config::members({{"name", scale->name()},
                       {"inner_optimizer", std::move(described)},
                       {"initial_scale", scale->initial_scale()},
                       {"dynamic_growth_steps", scale->dynamic_growth_steps()}}));
}
Config serialize(const Loss& loss) {
  return internal::describe("loss", loss.name(), loss->made_of());
}
Config serialize(const Metric& metric) {
  return internal::describe("metric", metric.name(), metric->made_of());
}
Config serialize(const LearningRateSchedule& schedule) {
  return internal::describe("learning rate schedule", "", schedule->made_of());
}
Config serialize(const Initializer& initializer) {
  return internal::describe("initializer", "", initializer.made_of());
}
Config serialize(const Regularizer& regularizer) {
  return internal::describe("regularizer", "", regularizer.made_of());
}
Config serialize(const Constraint& constraint) {
  return internal::describe("constraint", "", constraint.made_of());
}

}  // namespace cohort::nn
