#pragma once

#include <string>
#include <vector>

#include "cohort/checkpoint/hdf5_file.h"
#include "cohort/nn/saving/weights_format.h"

/// Keras' layout (keras 3.15, saving_lib): the weights of a layer, trainable ones first, are the
/// datasets "<path>/vars/<i>"; the group "vars" has the attribute "name", the layer's own.
namespace cohort::nn::internal {

/// Layers and their weights into a new file.
void write_layers(checkpoint::Hdf5Writer& file, const std::vector<LayerInFile>& layers,
                  const WeightValue& value);
std::string hdf5_group(const LayerInFile& layer);
std::string hdf5_path(const LayerInFile& layer, size_t i);

}  // namespace cohort::nn::internal
