#include "cohort/nn/saving/legacy_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cohort/nn/model_impl.h"

namespace cohort::nn::internal {
namespace {

constexpr const char* kTopLevel = "top_level_model_weights";

/// "kernel" of "dense_1/kernel:0" and of "kernel_2".
std::string last_name(std::string_view weight) {
  weight = weight.substr(weight.rfind('/') + 1);
  weight = weight.substr(0, weight.rfind(':'));
  const size_t digits = weight.find_last_not_of("0123456789");
  if (digits != weight.npos && digits + 1 < weight.size() && digits > 0 && weight[digits] == '_')
    weight = weight.substr(0, digits);
  return std::string(weight);
}

/// A layer's weights in the order of these files.
std::vector<Variable> weights_in_order(const Layer& layer) {
  std::vector<Variable> weights = layer.trainable_weights();
  for (const Variable& weight : layer.non_trainable_weights()) weights.push_back(weight);
  return weights;
}

class LegacyMatch {
 public:
  explicit LegacyMatch(const LegacyWeights& file) : file_(file) {}

  WeightsMatch in_order(const std::vector<Layer>& layers) {
    const auto& theirs = file_.layers();
    if (theirs.size() != layers.size())
      match_.add_problem(
          fmt::format("the file has weights for {} layers, the model has {} with "
                      "weights",
                      theirs.size(), layers.size()));
    for (size_t i = 0; i < std::min(theirs.size(), layers.size()); ++i) {
      match_.compare_names(fmt::format("layer {}", i), theirs[i].name, layers[i]);
      match_layer(theirs[i], weights_in_order(layers[i]), layers[i].name());
    }
    for (size_t i = theirs.size(); i < layers.size(); ++i)
      match_.add_problem(fmt::format("{}: the file has nothing for it", layers[i].name()));
    for (size_t i = layers.size(); i < theirs.size(); ++i)
      match_.add_problem(fmt::format("{}: no layer takes the file's weights", theirs[i].name));
    return std::move(match_);
  }

  WeightsMatch by_name(const std::vector<Layer>& layers) {
    bool any = false;
    std::string names;
    for (const LegacyLayer& theirs : file_.layers()) {
      names += fmt::format(" \"{}\"", theirs.name);
      for (const Layer& layer : layers)
        if (layer.name() == theirs.name) {
          any = true;
          match_layer(theirs, weights_in_order(layer), layer.name());
        }
    }
    if (!any)
      match_.add_problem(
          fmt::format("no layer of the model is called as one of the file:{}", names));
    return std::move(match_);
  }

  void match_layer(const LegacyLayer& theirs, const std::vector<Variable>& weights,
                   const std::string& name) {
    if (theirs.weights.size() != weights.size()) {
      std::string of_file, of_model;
      for (const WeightInFile& weight : theirs.weights)
        of_file += fmt::format(" {} {}", last_name(weight.path), weight.shape);
      for (const Variable& weight : weights)
        of_model += fmt::format(" {} {}", weight.name(), weight.shape());
      match_.add_problem(fmt::format("{}: the file has {} weights ({}:{}), the model {} ({}:{})",
                                     name, theirs.weights.size(), theirs.name, of_file,
                                     weights.size(), name, of_model));
      return;
    }
    for (size_t i = 0; i < weights.size(); ++i)
      if (last_name(theirs.weights[i].path) == last_name(weights[i].name()))
        match_.pair(weights[i], theirs.weights[i]);
      else
        match_.add_problem(fmt::format("{}: the file has {} where the model has {}", name,
                                       theirs.weights[i].path, weights[i].path()));
  }

 private:
  const LegacyWeights& file_;
  WeightsMatch match_;
};

}  // namespace

LegacyWeights::LegacyWeights(const std::string& path)
    : path_(path), file_(checkpoint::open_hdf5(path)) {
  if (file_->attribute(prefix_, "model_config") ||
      file_->attribute_list("model_weights", "layer_names"))
    prefix_ = "model_weights";
  for (const std::string& name : list(prefix_, "layer_names"))
    if (LegacyLayer layer = read_layer(name); !layer.weights.empty())
      layers_.push_back(std::move(layer));
  const std::string top = prefix_.empty() ? kTopLevel : prefix_ + "/" + kTopLevel;
  if (file_->attribute_list(top, "weight_names")) top_level_ = read_layer(kTopLevel);
}

std::vector<std::string> LegacyWeights::list(const std::string& group,
                                             const std::string& name) const {
  if (auto whole = file_->attribute_list(group, name)) return std::move(*whole);
  std::vector<std::string> all;
  for (int i = 0;; ++i) {
    const auto piece = file_->attribute_list(group, name + std::to_string(i));
    if (piece)
      all.insert(all.end(), piece->begin(), piece->end());
    else if (i > 0)
      return all;
    else
      throw DataLoss(
          "{}: {}: got no list \"{}\"; want the .h5 of tf.keras, or a path that ends in "
          ".weights.h5 for one of Keras 3",
          path_, group.empty() ? "the file's root" : group, name);
  }
}

LegacyLayer LegacyWeights::read_layer(const std::string& name) const {
  const std::string group = prefix_.empty() ? name : prefix_ + "/" + name;
  LegacyLayer layer{name, {}};
  const auto& datasets = file_->datasets();
  for (const std::string& weight : list(group, "weight_names")) {
    const std::string path = group + "/" + weight;
    const auto found =
        std::lower_bound(datasets.begin(), datasets.end(), path,
                         [](const auto& dataset, const auto& at) { return dataset.path < at; });
    if (found == datasets.end() || found->path != path)
      throw DataLoss("{}: {}: got no such array; want it, as \"weight_names\" of {} says", path_,
                     path, group);
    layer.weights.push_back({path, found->dtype, found->shape});
  }
  return layer;
}

Tensor LegacyWeights::read(const WeightInFile& weight) const {
  return file_->read({weight.path, weight.dtype, weight.shape});
}

bool is_legacy_weights(std::string_view path) {
  return path.ends_with(".h5") && !path.ends_with(".weights.h5");
}

WeightsMatch match_legacy(const LegacyWeights& file, const Model& model, bool by_name) {
  std::vector<Layer> layers;
  for (const Layer& layer : model.layers())
    if (!layer.weights().empty()) layers.push_back(layer);
  LegacyMatch match(file);
  const std::vector<Variable>& own = model.impl().own_weights();
  if (!own.empty() || !file.top_level().weights.empty())
    match.match_layer(file.top_level(), own, model.name());
  return by_name ? match.by_name(layers) : match.in_order(layers);
}

}  // namespace cohort::nn::internal
