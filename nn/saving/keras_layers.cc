#include "cohort/nn/saving/keras_layers.h"

#include <algorithm>
#include <map>
#include <set>

#include "cohort/nn/internal/names.h"
#include "cohort/nn/model_impl.h"
#include "cohort/nn/saving/object_walk.h"

namespace cohort::nn::internal {
namespace {

/// A model's attribute "layers", a list of all its layers, has its turn among the others, in
/// alphabetical order: what comes behind it is found there.
class KerasWalk {
 public:
  explicit KerasWalk(const Layer& model) { add("", model); }
  std::vector<LayerInFile> take() { return std::move(found_); }

 private:
  void add(const std::string& path, const Layer& layer) {
    if (!visited_.insert(&layer.impl()).second) return;
    std::vector<Variable> weights = layer.impl().own_weights();
    std::stable_partition(weights.begin(), weights.end(),
                          [](const Variable& weight) { return weight.trainable(); });
    found_.push_back({path, layer, std::move(weights)});
    const std::string prefix = path.empty() ? "" : path + "/";
    const bool is_model = dynamic_cast<const ModelImpl*>(&layer.impl()) != nullptr;
    if (!layer.impl().counts_children_by_class()) add_named(prefix, layer, is_model);
    if (is_model) add_counted(prefix + "layers/", layer);
  }

  void add_named(const std::string& prefix, const Layer& layer, bool is_model) {
    auto children = layer.impl().children();
    std::sort(children.begin(), children.end(), [](const auto& a, const auto& b) {
      return attribute_comes_before(a.first, b.first);
    });
    for (const auto& [name, child] : children)
      if (!is_model || attribute_comes_before(name, "layers")) add(prefix + name, child);
  }

  void add_counted(const std::string& prefix, const Layer& layer) {
    std::map<std::string, int> count;
    for (const auto& [name, child] : layer.impl().children()) {
      const std::string base = to_snake_case(child->type_name());
      const int number = count[base]++;
      add(prefix + base + (number == 0 ? "" : "_" + std::to_string(number)), child);
    }
  }

  std::vector<LayerInFile> found_;
  std::set<const LayerImpl*> visited_;
};

}  // namespace

std::vector<LayerInFile> layers_of(const std::string& what,
                                   const std::shared_ptr<ModelImpl>& model) {
  return layers_of(what, Layer(model));
}

std::vector<LayerInFile> layers_of(const std::string& what, const Layer& root) {
  std::vector<LayerInFile> layers = KerasWalk(root).take();
  for (const LayerInFile& each : layers)
    if (!each.layer.built())
      throw FailedPrecondition(
          "{}: {}: {} has no weights yet; want a model that is built: give it an Input, or call it",
          what, root.name(), each.layer.name());
  return layers;
}

std::string weight_name(const LayerImpl& layer, const Variable& weight) {
  const std::string prefix = layer.path() + "/";
  return weight.path().starts_with(prefix) ? weight.path().substr(prefix.size()) : weight.name();
}

std::string tensor_name(const LayerInFile& layer, const Variable& weight) {
  const std::string name = weight_name(layer.layer.impl(), weight);
  return layer.path.empty() ? name : layer.path + "/" + name;
}

}  // namespace cohort::nn::internal
