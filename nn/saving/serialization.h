#pragma once

#include <any>
#include <functional>
#include <memory>
#include <string>
#include <typeindex>
#include <vector>

#include "cohort/nn/metric.h"
#include "cohort/nn/model.h"
#include "cohort/nn/saving/field_configs.h"

/// What describes objects in files, in Keras' form:
///
///   {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3, …},
///    "registered_name": null}
///
/// The config of an object that was made of options, an aggregate, is their fields (core/fields.h).
namespace cohort::nn {

/// Classes by their names. A user's own come into the program's registry by register_serializable,
/// or are given to load_model() as custom_objects.
class ObjectRegistry {
 public:
  /// Options that convert to the handle of a layer, optimizer, loss, metric, schedule, initializer,
  /// regularizer or constraint: objects made of them are described by their fields. AlreadyExists
  /// for a name, "MyPackage>Scale", that is there.
  template <class Options>
  void add(const std::string& name, const std::string& package = "Custom") {
    add(internal::options_class<Options>(name, package));
  }
  /// Layers and models of a class that overrides LayerImpl::get_config(): `from_config` makes one
  /// of what that gave, with "name", "trainable" and "dtype" beside it. `type_name` is the class's,
  /// as LayerImpl has it.
  void add_layer(const std::string& type_name, std::function<Layer(const Config&)> from_config,
                 const std::string& package = "Custom");
  /// What an activation given by this name is.
  void add_activation(const std::string& name, std::function<Value(Value)> function);

  // For the readers and writers of files; null where there is none.
  const internal::SavedClass* of_options(const std::type_info& options) const;
  const internal::SavedClass* of_layers(const std::string& type_name) const;
  const internal::SavedClass* called(const std::string& registered_name) const;
  const std::function<Value(Value)>* activation(const std::string& name) const;

 private:
  void add(internal::SavedClass saved);
  std::vector<std::shared_ptr<const internal::SavedClass>> classes_;
  std::vector<std::pair<std::string, std::function<Value(Value)>>> activations_;
};

/// The program's, which its runtime keeps.
ObjectRegistry& object_registry();

/// Into the program's registry, before models are saved or loaded:
///
///   struct Scale {
///     double factor = 1;
///     bool trainable = true;
///     nn::DTypePolicy dtype = {};
///     std::string name = "";
///     operator nn::Layer() const { return nn::make<ScaleImpl>(*this); }
///   };
///   nn::register_serializable<Scale>("Scale", "MyPackage");
template <class Options>
void register_serializable(const std::string& name, const std::string& package = "Custom") {
  object_registry().add<Options>(name, package);
}
inline void register_serializable(const std::string& type_name,
                                  std::function<Layer(const Config&)> from_config,
                                  const std::string& package = "Custom") {
  object_registry().add_layer(type_name, std::move(from_config), package);
}

/// An object's description; of a layer with the name, dtype and trainable that it has, of an
/// optimizer with the rate that it has. Throw InvalidArgument, naming the object, where it, or
/// something in it, was made of a function or of what nobody has registered.
Config serialize(const Layer& layer);
Config serialize(const Optimizer& optimizer);
Config serialize(const Loss& loss);
Config serialize(const Metric& metric);
Config serialize(const LearningRateSchedule& schedule);
Config serialize(const Initializer& initializer);
Config serialize(const Regularizer& regularizer);
Config serialize(const Constraint& constraint);

/// A new object of a description, from Keras or from here. Throws InvalidArgument, which says
/// where, for classes that are neither Cohort's nor registered, values of other kinds than the
/// fields, and arguments that Cohort lacks, unless they have the value at which they change
/// nothing. `custom_objects` come before the program's registry.
template <class Handle>
Handle deserialize(const Config& config, const ObjectRegistry& custom_objects = {}) {
  const internal::Reading reading(custom_objects);
  return internal::read_object<Handle>(config, reading);
}

}  // namespace cohort::nn
