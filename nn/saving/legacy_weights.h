#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/checkpoint/hdf5_file.h"
#include "cohort/nn/saving/weights_match.h"

/// The ".h5" of tf.keras, and of Keras 3 where it writes one (legacy_h5_format): attribute
/// "layer_names" lists groups, whose attribute "weight_names" lists datasets in them, in the order
/// of layers and weights. Of a whole model's file that is the group "model_weights"; its
/// architecture and its optimizer's state are left there. Long lists are in pieces, "layer_names0",
/// "…1", ….
namespace cohort::nn::internal {

struct LegacyLayer {
  std::string name;
  std::vector<WeightInFile> weights;  ///< of all layers in it, trainable ones first
};

class LegacyWeights {
 public:
  /// Errors name the file: those of checkpoint::open_hdf5(), and DataLoss where it has another
  /// layout, or a list names what is not there.
  explicit LegacyWeights(const std::string& path);

  /// Those that have weights, in the file's order.
  const std::vector<LegacyLayer>& layers() const { return layers_; }
  /// Of the model itself.
  const LegacyLayer& top_level() const { return top_level_; }
  Tensor read(const WeightInFile& weight) const;

 private:
  std::vector<std::string> list(const std::string& group, const std::string& name) const;
  LegacyLayer read_layer(const std::string& name) const;

  const std::string path_;
  std::unique_ptr<checkpoint::Hdf5Reader> file_;
  std::string prefix_;  ///< of the groups of layers
  std::vector<LegacyLayer> layers_;
  LegacyLayer top_level_;
};

/// By its ending: no ".weights.h5".
bool is_legacy_weights(std::string_view path);

/// Layer by layer, in order, as tf.keras does it, but names that somebody chose must be the same;
/// or by these names alone.
WeightsMatch match_legacy(const LegacyWeights& file, const Model& model, bool by_name);

}  // namespace cohort::nn::internal
