#include "cohort/nn/saving/field_configs.h"

#include "cohort/nn/saving/serialization.h"

namespace cohort::nn::internal {
namespace {

/// An activation by its name: that of a user's function, or one of Keras'.
ActivationFunction activation_called(const std::string& name, const Reading& reading) {
  const ObjectRegistry& of_program = object_registry();
  for (const ObjectRegistry* known : {&reading.custom_objects, &of_program})
    if (const auto* function = known->activation(name)) return {*function, name};
  return name;
}

bool is_object_of_class(const Config& config) { return config.find("class_name") != nullptr; }

}  // namespace

// Keras leaves the name of a function of its own where it is; another's it says in full.
Config write_field(const ActivationFunction& field) {
  if (field.name().empty())
    throw InvalidArgument("got a function without a name; want one given by name, or registered");
  if (!object_registry().activation(field.name())) return field.name();
  return Config::members({{"module", "builtins"},
                          {"class_name", "function"},
                          {"config", field.name()},
                          {"registered_name", field.name()}});
}
Config write_field(const Initializer& field) { return serialize(field); }
Config write_field(const Regularizer& field) {
  return field.defined() ? serialize(field) : Config();
}
Config write_field(const Constraint& field) {
  return field.defined() ? serialize(field) : Config();
}
Config write_field(const LearningRate& field) {
  return field.is_scheduled() ? serialize(field.schedule()) : Config(field.rate());
}
Config write_field(const Optimizer& field) { return serialize(field); }
Config write_field(const Loss& field) { return serialize(field); }
Config write_field(const Layer& field) { return serialize(field); }
Config write_field(const DTypePolicy& field) {
  return Config::members({{"module", "keras"},
                          {"class_name", "DTypePolicy"},
                          {"config", Config::members({{"name", field.name()}})},
                          {"registered_name", Config()}});
}
Config write_field(const constraints::Axes& field) {
  return field.list.size() == 1 ? Config(field.list[0]) : write_field(field.list);
}
Config write_field(uint64_t field) {
  if (field > static_cast<uint64_t>(INT64_MAX))
    throw InvalidArgument("got {}; want a number below 2^63", field);
  return static_cast<int64_t>(field);
}
// Keras' form of what is not given.
Config write_field(const std::string& field) { return field.empty() ? Config() : Config(field); }
Config write_field(const std::vector<double>& field) {
  if (field.empty()) return {};
  Config list = Config::list();
  for (const double each : field) list.push_back(each);
  return list;
}

void read_field(const Config& config, const Reading& reading, ActivationFunction& field) {
  if (config.is_null()) {
    field = {};
  } else if (const Config* name = config.find("registered_name"); name && name->is_text()) {
    field = activation_called(name->as_text(), reading);
  } else if (is_object_of_class(config)) {
    throw InvalidArgument("got an object of class {}; want the name of a function",
                          config.at("class_name").as_text());
  } else {
    field = activation_called(config.as_text(), reading);
  }
}
void read_field(const Config& config, const Reading& reading, Initializer& field) {
  field = config.is_text() ? Initializer(std::string_view(config.as_text()))
                           : read_object<Initializer>(config, reading);
}
void read_field(const Config& config, const Reading& reading, Regularizer& field) {
  field = config.is_null()   ? Regularizer()
          : config.is_text() ? Regularizer(config.as_text().c_str())
                             : read_object<Regularizer>(config, reading);
}
void read_field(const Config& config, const Reading& reading, Constraint& field) {
  field = config.is_null()   ? Constraint()
          : config.is_text() ? Constraint(config.as_text().c_str())
                             : read_object<Constraint>(config, reading);
}
void read_field(const Config& config, const Reading& reading, LearningRate& field) {
  if (config.is_number())
    field = config.as_number();
  else
    field = read_object<LearningRateSchedule>(config, reading);
}
void read_field(const Config& config, const Reading& reading, Optimizer& field) {
  field = config.is_text() ? Optimizer(config.as_text()) : read_object<Optimizer>(config, reading);
}
void read_field(const Config& config, const Reading& reading, Loss& field) {
  field = config.is_text() ? Loss(config.as_text()) : read_object<Loss>(config, reading);
}
void read_field(const Config& config, const Reading& reading, Layer& field) {
  field = read_object<Layer>(config, reading);
}
void read_field(const Config& config, const Reading&, DTypePolicy& field) {
  if (config.is_null()) return;
  if (config.is_text()) {
    field = config.as_text();
    return;
  }
  if (const std::string& name = config.at("class_name").as_text(); name != "DTypePolicy")
    throw InvalidArgument("got a policy of class {}; want DTypePolicy", name);
  field = config.at("config").at("name").as_text();
}
void read_field(const Config& config, const Reading& reading, constraints::Axes& field) {
  read_field(config, reading, field.list);
}
void read_field(const Config& config, const Reading&, Size2D& field) {
  if (config.is_number()) {
    field = config.as_int();
    return;
  }
  const Config::List& sizes = config.as_list();
  if (sizes.size() != 2) throw InvalidArgument("got {} numbers; want one or two", sizes.size());
  field = {sizes[0].as_int(), sizes[1].as_int()};
}
void read_field(const Config& config, const Reading&, uint64_t& field) {
  if (config.as_int() < 0) throw InvalidArgument("got {}; want 0 or more", config.as_int());
  field = static_cast<uint64_t>(config.as_int());
}
void read_field(const Config& config, const Reading&, bool& field) { field = config.as_bool(); }
void read_field(const Config& config, const Reading&, int64_t& field) { field = config.as_int(); }
void read_field(const Config& config, const Reading&, double& field) { field = config.as_number(); }
void read_field(const Config& config, const Reading&, std::string& field) {
  field = config.is_null() ? "" : config.as_text();
}

void throw_field_error(const std::string& name, std::string_view field, const Error& error) {
  throw error.within(name + ": " + std::string(field));
}

}  // namespace cohort::nn::internal
