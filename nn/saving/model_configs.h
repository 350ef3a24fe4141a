#pragma once

#include <any>
#include <optional>
#include <string>

#include "cohort/nn/saving/field_configs.h"

/// What describes layers and the models made of them (keras 3.15: Sequential, Functional).
namespace cohort::nn::internal {

/// {"module", "class_name", "config", "registered_name"}.
Config describe_as(const SavedClass& known, Config config);
/// What the layer's class is called in files; null where nobody registered it.
const SavedClass* class_of_layer(const LayerImpl& layer);

/// As serialize(), without what compile() was given.
Config describe_layer(const Layer& layer);

/// A layer that is described by more than fields: an InputLayer, a Sequential or functional model;
/// nothing for another class.
std::optional<std::any> read_structure(const std::string& class_name, const Config& config,
                                       const Reading& reading);
/// A functional model by its layers and their calls.
Model read_functional(const Config& config, const Reading& reading);

/// "<type>: <what>", Keras' shapes and dtypes: [null, 3], "float32".
Config describe_shape(const Shape& shape);
/// Behind the batch's dimension; InvalidArgument for sizes that are no numbers.
Shape read_shape(const Config& batch_shape);

}  // namespace cohort::nn::internal
