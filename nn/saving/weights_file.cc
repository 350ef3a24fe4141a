#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "cohort/checkpoint/hdf5_file.h"
#include "cohort/checkpoint/storage.h"
#include "cohort/core/wire/hash.h"
#include "cohort/nn/internal/names.h"
#include "cohort/nn/internal/warning.h"
#include "cohort/nn/model.h"
#include "cohort/nn/model_impl.h"
#include "cohort/nn/saving/agreement.h"
#include "cohort/nn/saving/object_walk.h"

// Keras' layout (keras 3.15, saving_lib): the weights of a layer, trainable ones first, are the
// datasets "<path>/vars/<i>"; "vars" has the attribute "name", the layer's own.
namespace cohort::nn {
namespace {

using internal::Agreement;
using internal::attribute_comes_before;
using internal::to_snake_case;

constexpr std::string_view kWeightsEnd = ".weights.h5";

struct LayerInFile {
  std::string path;  ///< "layers/dense_1"; empty: the model itself
  Layer layer;
  std::vector<Variable> weights;  ///< its own, in the file's order

  std::string vars() const { return path.empty() ? "vars" : path + "/vars"; }
  std::string weight(size_t i) const { return fmt::format("{}/{}", vars(), i); }
};

/// Finds the layers of a model as Keras does: those of a Sequential or functional model, and of a
/// list, by their classes, counted; others by the attributes that hold them. A model's attribute
/// "layers", a list of all its layers, has its turn among the others, in alphabetical order: what
/// comes behind it is found there.
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

/// Whether a layer of this class is called so where nobody gave it a name: "dense", "dense_12".
bool is_automatic(std::string_view name, const LayerImpl& layer) {
  const std::string base = to_snake_case(layer.type_name());
  if (!name.starts_with(base)) return false;
  const std::string_view rest = name.substr(base.size());
  return rest.empty() || (rest.size() > 1 && rest[0] == '_' &&
                          rest.find_first_not_of("0123456789", 1) == rest.npos);
}

void check_path(const std::string& what, const std::string& path) {
  if (!path.ends_with(kWeightsEnd))
    throw InvalidArgument("{}: got the path \"{}\"; want one that ends in {}", what, path,
                          kWeightsEnd);
}

std::vector<LayerInFile> layers_of(const std::string& what,
                                   const std::shared_ptr<ModelImpl>& model) {
  std::vector<LayerInFile> layers = KerasWalk(Model(model)).take();
  for (const LayerInFile& each : layers)
    if (!each.layer.built())
      throw FailedPrecondition(
          "{}: {}: {} has no weights yet; want a model that is built: give it an Input, or call it",
          what, model->name(), each.layer.name());
  return layers;
}

void write_file(const std::vector<LayerInFile>& layers, const std::string& path,
                const std::function<Tensor(const Variable&)>& value) {
  const auto file = checkpoint::create_hdf5(path);
  for (const LayerInFile& layer : layers) {
    file->make_group(layer.vars());
    file->set_attribute(layer.vars(), "name", layer.layer.name());
    for (size_t i = 0; i < layer.weights.size(); ++i)
      file->write(layer.weight(i), value(layer.weights[i]));
  }
  file->close();
}

/// What a file has for a model's weights.
class Match {
 public:
  Match(const std::vector<LayerInFile>& layers, const checkpoint::Hdf5Reader& file) : file_(file) {
    for (const checkpoint::Hdf5Dataset& dataset : file.datasets())
      unused_.emplace(dataset.path, &dataset);
    for (const LayerInFile& layer : layers) match(layer);
    for (const auto& [path, dataset] : unused_)
      if (!path.starts_with("optimizer/"))
        problems_.push_back(fmt::format("{} of {}: no weight takes it", path, dataset->shape));
  }

  const std::vector<std::string>& problems() const { return problems_; }

  /// Returns a hash of what was read.
  std::string assign() const {
    std::string all;
    for (const auto& [variable, dataset] : pairs_) {
      const Tensor value = file_.read(*dataset);
      all += wire::hash128({static_cast<const char*>(value.raw()), value.num_bytes()}).to_string();
      variable.assign(value);
    }
    return wire::hash128(all).to_string();
  }

 private:
  void match(const LayerInFile& layer) {
    if (!layer.path.empty() && !layer.weights.empty()) {
      const std::string theirs = file_.attribute(layer.vars(), "name").value_or(layer.layer.name());
      if (theirs != layer.layer.name() && !(is_automatic(theirs, layer.layer.impl()) &&
                                            is_automatic(layer.layer.name(), layer.layer.impl())))
        problems_.push_back(fmt::format("{}: the file's layer is called \"{}\", the model's \"{}\"",
                                        layer.path, theirs, layer.layer.name()));
    }
    for (size_t i = 0; i < layer.weights.size(); ++i) match(layer, i);
  }

  void match(const LayerInFile& layer, size_t i) {
    const Variable& weight = layer.weights[i];
    const auto found = unused_.find(layer.weight(i));
    if (found == unused_.end()) {
      problems_.push_back(
          fmt::format("{}: the file has nothing for {}", layer.weight(i), weight.path()));
      return;
    }
    const checkpoint::Hdf5Dataset& dataset = *found->second;
    unused_.erase(found);
    if (dataset.shape != weight.shape() || dataset.dtype != weight.dtype())
      problems_.push_back(fmt::format("{}: the file has {} of {} for {}, which is {} of {}",
                                      dataset.path, dataset.dtype, dataset.shape, weight.path(),
                                      weight.dtype(), weight.shape()));
    else
      pairs_.emplace_back(weight, &dataset);
  }

  const checkpoint::Hdf5Reader& file_;
  std::map<std::string, const checkpoint::Hdf5Dataset*> unused_;
  std::vector<std::pair<Variable, const checkpoint::Hdf5Dataset*>> pairs_;
  std::vector<std::string> problems_;
};

std::string read_file(const std::shared_ptr<ModelImpl>& model, const std::string& path,
                      const LoadWeightsOptions& options) {
  const auto file = checkpoint::open_hdf5(path);
  const Match match(layers_of("load_weights", model), *file);
  const std::string problems = fmt::format("{}", fmt::join(match.problems(), "\n  "));
  if (!match.problems().empty() && !options.skip_mismatch)
    throw InvalidArgument(
        "load_weights: {}: does not fit {}:\n  {}\nwant the weights of this model, or "
        "skip_mismatch for those that fit",
        path, model->name(), problems);
  if (!match.problems().empty())
    internal::warn(model->strategy(), "load_weights: {}: loaded what fits {}, but:\n  {}", path,
                   model->name(), problems);
  return match.assign();
}

}  // namespace

void Model::save_weights(const std::string& filepath, SaveWeightsOptions options) const {
  const auto model = std::static_pointer_cast<ModelImpl>(shared());
  check_path("save_weights", filepath);
  const std::vector<LayerInFile> layers = layers_of("save_weights", model);
  distribute::Workers& workers = model->strategy().workers();
  internal::collectively(workers, "save_weights()", [&] {
    std::map<const VariableState*, Tensor> whole;  // what all workers together make so
    for (const LayerInFile& layer : layers)
      for (const Variable& weight : layer.weights)
        if (internal::is_of_all(*weight.shared()))
          whole[weight.shared().get()] = weight.shared()->value();
    return Agreement(workers).from_chief("weights", [&] {
      if (!options.overwrite && checkpoint::posix_storage()->exists(filepath))
        throw AlreadyExists(
            "save_weights: {}: got a file that is there; want overwrite = true, or "
            "another path",
            filepath);
      write_file(layers, filepath, [&](const Variable& weight) {
        const auto made = whole.find(weight.shared().get());
        return made == whole.end() ? weight.shared()->value() : made->second;
      });
      return "";
    });
  });
}

void Model::load_weights(const std::string& filepath, LoadWeightsOptions options) const {
  const auto model = std::static_pointer_cast<ModelImpl>(shared());
  check_path("load_weights", filepath);
  distribute::Workers& workers = model->strategy().workers();
  internal::collectively(workers, "load_weights()", [&] {
    const std::vector<std::string> read =
        Agreement(workers).gather("weights", [&] { return read_file(model, filepath, options); });
    for (size_t worker = 1; worker < read.size(); ++worker)
      if (read[worker] != read.front())
        throw internal::AgreedError(
            Code::kFailedPrecondition,
            fmt::format("load_weights: {}: worker {} has read other weights than the chief; want "
                        "the same file on all of them",
                        filepath, worker));
    return true;
  });
}

}  // namespace cohort::nn
