#pragma once

#include <string>

#include "cohort/nn/saving/weights_format.h"

/// Keras' layout (keras 3.15, saving_lib): the weights of a layer, trainable ones first, are the
/// datasets "<path>/vars/<i>"; the group "vars" has the attribute "name", the layer's own.
namespace cohort::nn::internal {

std::string hdf5_group(const LayerInFile& layer);
std::string hdf5_path(const LayerInFile& layer, size_t i);

}  // namespace cohort::nn::internal
