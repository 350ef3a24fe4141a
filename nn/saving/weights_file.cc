#include <fmt/format.h>

#include <functional>
#include <map>

#include "cohort/checkpoint/storage.h"
#include "cohort/nn/internal/warning.h"
#include "cohort/nn/model.h"
#include "cohort/nn/model_impl.h"
#include "cohort/nn/saving/agreement.h"
#include "cohort/nn/saving/legacy_weights.h"
#include "cohort/nn/saving/object_walk.h"
#include "cohort/nn/saving/weights_format.h"

namespace cohort::nn {
namespace {

using internal::Agreement;
using internal::LayerInFile;
using internal::WeightInFile;
using internal::WeightsMatch;

/// Of the files whose layers stand under their paths.
class PathMatch {
 public:
  explicit PathMatch(const internal::WeightsReader& file) : file_(file) {
    for (const WeightInFile& weight : file.weights()) unused_.emplace(weight.path, &weight);
  }

  WeightsMatch match(const std::vector<LayerInFile>& layers) {
    for (const LayerInFile& layer : layers) {
      if (!layer.path.empty() && !layer.weights.empty())
        if (const auto name = file_.name_of(layer))
          match_.compare_names(layer.path, *name, layer.layer);
      for (size_t i = 0; i < layer.weights.size(); ++i) match(layer, i);
    }
    for (const auto& [path, unused] : unused_)
      if (!file_.is_other_state(path))
        match_.add_problem(fmt::format("{} of {}: no weight takes it", path, unused->shape));
    return std::move(match_);
  }

 private:
  void match(const LayerInFile& layer, size_t i) {
    const Variable& weight = layer.weights[i];
    const std::string path = file_.path_of(layer, i);
    const auto found = unused_.find(path);
    if (found == unused_.end()) {
      match_.add_problem(fmt::format("{}: the file has nothing for {}", path, weight.path()));
      return;
    }
    match_.pair(weight, *found->second);
    unused_.erase(found);
  }

  const internal::WeightsReader& file_;
  std::map<std::string, const WeightInFile*> unused_;
  WeightsMatch match_;
};

/// Takes what matches, if all does, or that is enough.
std::string take(const WeightsMatch& match, const std::shared_ptr<ModelImpl>& model,
                 const std::string& path, const LoadWeightsOptions& options,
                 const std::function<Tensor(const WeightInFile&)>& read) {
  const std::string problems = fmt::format("{}", fmt::join(match.problems(), "\n  "));
  if (!match.problems().empty() && !options.skip_mismatch)
    throw InvalidArgument(
        "load_weights: {}: does not fit {}:\n  {}\nwant the weights of this model, or "
        "skip_mismatch for those that fit",
        path, model->name(), problems);
  if (!match.problems().empty())
    internal::warn(model->strategy(), "load_weights: {}: loaded what fits {}, but:\n  {}", path,
                   model->name(), problems);
  return match.assign(read);
}

std::string read_file(const std::shared_ptr<ModelImpl>& model, const std::string& path,
                      const LoadWeightsOptions& options) {
  const std::vector<LayerInFile> layers = internal::layers_of("load_weights", model);
  if (internal::is_legacy_weights(path)) {
    const internal::LegacyWeights file(path);
    return take(internal::match_legacy(file, Model(model), options.by_name), model, path, options,
                [&](const WeightInFile& weight) { return file.read(weight); });
  }
  const auto file = internal::weights_format_of("load_weights", path).open(path);
  return take(PathMatch(*file).match(layers), model, path, options,
              [&](const WeightInFile& weight) { return file->read(weight); });
}

/// InvalidArgument where no file can be read so.
void check_can_load(const std::string& path, const LoadWeightsOptions& options) {
  if (internal::is_legacy_weights(path)) return;
  internal::weights_format_of("load_weights", path);
  if (options.by_name)
    throw InvalidArgument(
        "load_weights: {}: got by_name; want it for a legacy .h5 alone: other files know layers by "
        "their places",
        path);
}

}  // namespace

const internal::WeightsFormat& internal::weights_format_of(const std::string& what,
                                                           const std::string& path) {
  for (const WeightsFormat* format : {&kHdf5Weights, &kShardedWeights, &kSafetensorsWeights})
    if (path.ends_with(format->ending)) return *format;
  throw InvalidArgument("{}: got the path \"{}\"; want one that ends in {}, {} or {}", what, path,
                        kHdf5Weights.ending, kShardedWeights.ending, kSafetensorsWeights.ending);
}

void Model::save_weights(const std::string& filepath, SaveWeightsOptions options) const {
  const auto model = std::static_pointer_cast<ModelImpl>(shared());
  const internal::WeightsFormat& format = internal::weights_format_of("save_weights", filepath);
  const std::vector<LayerInFile> layers = internal::layers_of("save_weights", model);
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
      const auto value = [&](const Variable& weight) {
        const auto made = whole.find(weight.shared().get());
        return made == whole.end() ? weight.shared()->value() : made->second;
      };
      format.write(filepath, layers, value, options);
      return "";
    });
  });
}

void Model::load_weights(const std::string& filepath, LoadWeightsOptions options) const {
  const auto model = std::static_pointer_cast<ModelImpl>(shared());
  check_can_load(filepath, options);
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
