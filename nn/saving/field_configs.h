#pragma once

#include <any>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <typeindex>
#include <utility>
#include <vector>

#include "cohort/core/fields.h"
#include "cohort/nn/layers.h"
#include "cohort/nn/metrics.h"
#include "cohort/nn/optimizers.h"

/// From fields of options to values of a configuration, and back.
namespace cohort::nn {

class ObjectRegistry;

namespace internal {

/// What one reading of a description shares.
class Reading {
 public:
  explicit Reading(const ObjectRegistry& custom_objects) : custom_objects(custom_objects) {}
  const ObjectRegistry& custom_objects;
  /// Layers that are described in several places are one, by their "shared_object_id".
  mutable std::map<int64_t, Layer> shared_layers;
};

/// A class whose objects files describe.
struct SavedClass {
  std::string module;                      ///< "keras.layers"; "" for a user's class
  std::string name;                        ///< "Dense"
  std::string registered_name;             ///< "MyPackage>Scale"; "" for Keras' classes
  std::type_index options = typeid(void);  ///< void: objects say themselves what they are made of
  std::vector<std::string_view> fields = {};  ///< of the options, in order
  /// Of options in an any.
  std::function<Config(const std::any& options)> write;
  /// A handle in an any.
  std::function<std::any(const Config& config, const Reading& reading)> make;
};

/// What is described by its fields has a function of its own for each kind of field. Errors of the
/// readers begin with what is wrong; who calls them says where.
Config write_field(const ActivationFunction& field);
Config write_field(const Initializer& field);
Config write_field(const Regularizer& field);
Config write_field(const Constraint& field);
Config write_field(const LearningRate& field);
Config write_field(const Optimizer& field);
Config write_field(const Loss& field);
Config write_field(const Layer& field);
Config write_field(const DTypePolicy& field);
Config write_field(const constraints::Axes& field);
Config write_field(uint64_t field);
inline Config write_field(bool field) { return field; }
inline Config write_field(int64_t field) { return field; }
inline Config write_field(double field) { return field; }
Config write_field(const std::string& field);
Config write_field(const std::vector<double>& field);
inline Config write_field(const Size2D& field) { return Config::list({field.rows, field.columns}); }
template <class T>
Config write_field(const std::optional<T>& field) {
  return field ? write_field(*field) : Config();
}
template <class T>
Config write_field(const std::vector<T>& field) {
  Config list = Config::list();
  for (const T& each : field) list.push_back(write_field(each));
  return list;
}

void read_field(const Config& config, const Reading& reading, ActivationFunction& field);
void read_field(const Config& config, const Reading& reading, Initializer& field);
void read_field(const Config& config, const Reading& reading, Regularizer& field);
void read_field(const Config& config, const Reading& reading, Constraint& field);
void read_field(const Config& config, const Reading& reading, LearningRate& field);
void read_field(const Config& config, const Reading& reading, Optimizer& field);
void read_field(const Config& config, const Reading& reading, Loss& field);
void read_field(const Config& config, const Reading& reading, Layer& field);
void read_field(const Config& config, const Reading& reading, DTypePolicy& field);
void read_field(const Config& config, const Reading& reading, constraints::Axes& field);
void read_field(const Config& config, const Reading& reading, Size2D& field);
void read_field(const Config& config, const Reading& reading, uint64_t& field);
void read_field(const Config& config, const Reading& reading, bool& field);
void read_field(const Config& config, const Reading& reading, int64_t& field);
void read_field(const Config& config, const Reading& reading, double& field);
void read_field(const Config& config, const Reading& reading, std::string& field);
template <class T>
void read_field(const Config& config, const Reading& reading, std::vector<T>& field) {
  field.clear();
  if (config.is_null()) return;
  if (!config.is_list()) {  // Keras has a number for a list of one
    read_field(config, reading, field.emplace_back());
    return;
  }
  for (const Config& each : config.as_list()) read_field(each, reading, field.emplace_back());
}
template <class T>
void read_field(const Config& config, const Reading& reading, std::optional<T>& field) {
  field.reset();
  if (config.is_null()) return;
  T value = [] {
    if constexpr (std::is_default_constructible_v<T>)
      return T();
    else
      return T(0);
  }();
  read_field(config, reading, value);
  field = std::move(value);
}

/// Gives fields that lack a default some value, until theirs is read.
struct Unread {
  template <class T>
  operator T() const {  // NOLINT
    if constexpr (std::is_default_constructible_v<T>)
      return T();
    else
      return T(0);
  }
};
template <class T, size_t... I>
T unread(std::index_sequence<I...>) {
  return T{(static_cast<void>(I), Unread())...};
}
template <class T, size_t kGiven = 0>
T unread_options() {
  if constexpr (cohort::internal::takes_fields<T>(std::make_index_sequence<kGiven>()))
    return unread<T>(std::make_index_sequence<kGiven>());
  else
    return unread_options<T, kGiven + 1>();
}

/// The members of `config` that options of class `name` have no field for. Throws InvalidArgument
/// where one says something that Cohort cannot do.
void check_unknown(const std::string& name, const Config& config,
                   const std::vector<std::string_view>& fields);
/// Members that Keras' class has besides, at the values that Cohort has for good.
void write_fixed(const std::string& name, Config& config);
[[noreturn]] void throw_field_error(const std::string& name, std::string_view field,
                                    const Error& error);

/// A field that no class of Keras has: described where it is set alone, and refused there.
inline bool is_of_cohort_alone(std::string_view field) { return field == "lazy_rows"; }
inline bool is_set(bool value) { return value; }
template <class T>
bool is_set(const T&) {
  return true;
}

template <class Options>
Config write_options(const std::string& name, const Options& options) {
  Config config = Config::members();
  if constexpr (!std::is_empty_v<Options>)
    for_each_field(options, [&](std::string_view field, const auto& value) {
      if (is_of_cohort_alone(field) && !is_set(value)) return;
      try {
        config.set(field, write_field(value));
      } catch (const Error& error) {
        throw_field_error(name, field, error);
      }
    });
  write_fixed(name, config);
  return config;
}

template <class Options>
Options read_options(const std::string& name, const Config& config, const Reading& reading) {
  auto options = unread_options<Options>();
  std::vector<std::string_view> fields;
  if constexpr (!std::is_empty_v<Options>)
    for_each_field(options, [&](std::string_view field, auto& value) {
      fields.push_back(field);
      const Config* given = config.find(field);
      if (!given) return;
      try {
        read_field(*given, reading, value);
      } catch (const Error& error) {
        throw_field_error(name, field, error);
      }
    });
  check_unknown(name, config, fields);
  return options;
}

/// The handle that options convert to.
template <class Options, class First, class... Rest>
auto made_of_options(const Options& options) {
  if constexpr (std::is_convertible_v<Options, First> || sizeof...(Rest) == 0)
    return static_cast<First>(options);
  else
    return made_of_options<Options, Rest...>(options);
}

template <class Options>
std::vector<std::string_view> names_of_fields() {
  std::vector<std::string_view> names;
  if constexpr (!std::is_empty_v<Options>) {
    auto options = unread_options<Options>();
    for_each_field(options, [&](std::string_view name, auto&) { names.push_back(name); });
  }
  return names;
}

template <class Options>
SavedClass options_class(const std::string& name, const std::string& package,
                         const std::string& module = "") {
  return {.module = module,
          .name = name,
          .registered_name = package.empty() ? "" : package + ">" + name,
          .options = typeid(Options),
          .fields = names_of_fields<Options>(),
          .write =
              [name](const std::any& options) {
                return write_options(name, std::any_cast<const Options&>(options));
              },
          .make = [name](const Config& config, const Reading& reading) -> std::any {
            return made_of_options<Options, Layer, Optimizer, Metric, Loss, LearningRateSchedule,
                                   Initializer, Regularizer, Constraint>(
                read_options<Options>(name, config, reading));
          }};
}

/// The object of {"class_name", "config", …} as a handle in an any.
std::any read_any_object(const Config& config, const Reading& reading);
[[noreturn]] void throw_other_kind(const Config& config, const char* wanted);
template <class Handle>
constexpr const char* kKindOf = "object";
template <>
constexpr const char* kKindOf<Layer> = "layer";
template <>
constexpr const char* kKindOf<Optimizer> = "optimizer";
template <>
constexpr const char* kKindOf<Metric> = "metric";
template <>
constexpr const char* kKindOf<Loss> = "loss";
template <>
constexpr const char* kKindOf<LearningRateSchedule> = "learning rate schedule";
template <>
constexpr const char* kKindOf<Initializer> = "initializer";
template <>
constexpr const char* kKindOf<Regularizer> = "regularizer";
template <>
constexpr const char* kKindOf<Constraint> = "constraint";
template <class Handle>
Handle read_object(const Config& config, const Reading& reading) {
  const std::any made = read_any_object(config, reading);
  if (const Handle* handle = std::any_cast<Handle>(&made)) return *handle;
  throw_other_kind(config, kKindOf<Handle>);
}

}  // namespace internal
}  // namespace cohort::nn
