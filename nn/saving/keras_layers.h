#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/nn/model.h"

namespace cohort::nn::internal {

/// A layer of a model, as files of weights have it.
struct LayerInFile {
  std::string path;  ///< "layers/dense_1"; empty: the model itself
  Layer layer;
  std::vector<Variable> weights;  ///< its own, trainable ones first
};

/// The layers of a model as Keras finds them: those of a Sequential or functional model, and of a
/// list, by their classes, counted; others by the attributes that hold them. Throws
/// FailedPrecondition, beginning with `what`, where one of them has no weights yet.
std::vector<LayerInFile> layers_of(const std::string& what,
                                   const std::shared_ptr<ModelImpl>& model);
/// The same of any layer.
std::vector<LayerInFile> layers_of(const std::string& what, const Layer& layer);

/// What add_weight() was given: "kernel".
std::string weight_name(const LayerImpl& layer, const Variable& weight);
/// As a checkpoint has it, without the root's name: "layers/dense_1/kernel".
std::string tensor_name(const LayerInFile& layer, const Variable& weight);

}  // namespace cohort::nn::internal
