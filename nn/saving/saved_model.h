#pragma once

#include <string>

#include "cohort/nn/saving/serialization.h"

/// Models as files of Keras' form, and as JSON.
namespace cohort::nn {

struct LoadModelOptions {
  /// Come before the program's registry.
  ObjectRegistry custom_objects = {};
  /// Compiles the model as it was compiled when it was saved, with the optimizer's state.
  bool compile = true;
  /// As of load_weights(): takes what fits and says the rest.
  bool skip_mismatch = false;
};

/// The model of a ".keras" file, from Keras or from Model::save(): of Sequential, functional and
/// registered classes, nested and shared. Throws InvalidArgument, which says where, for what
/// Cohort lacks or nobody registered, and where file and weights differ, as load_weights();
/// NotFound; DataLoss and ResourceExhausted for a file that is damaged or would take more memory
/// than a file of its size has numbers for. Placement (DeviceScope) is not in such files. In a job
/// of several processes all of them load it.
Model load_model(const std::string& filepath, LoadModelOptions options = {});

/// What to_json() gave, here or in Keras: with new weights, and compiled where that model was.
Model model_from_json(const std::string& json, const ObjectRegistry& custom_objects = {});

/// A new model of the same layers by the same names, with new weights, not compiled.
Model clone_model(const Model& model);

}  // namespace cohort::nn
