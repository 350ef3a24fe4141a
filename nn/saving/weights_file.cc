#include <fmt/format.h>

#include <map>

#include "cohort/checkpoint/storage.h"
#include "cohort/core/wire/hash.h"
#include "cohort/nn/internal/names.h"
#include "cohort/nn/internal/warning.h"
#include "cohort/nn/model.h"
#include "cohort/nn/model_impl.h"
#include "cohort/nn/saving/agreement.h"
#include "cohort/nn/saving/object_walk.h"
#include "cohort/nn/saving/weights_format.h"

namespace cohort::nn {
namespace {

using internal::Agreement;
using internal::LayerInFile;
using internal::WeightInFile;

/// Whether a layer of this class is called so where nobody gave it a name: "dense", "dense_12".
bool is_automatic(std::string_view name, const LayerImpl& layer) {
  const std::string base = internal::to_snake_case(layer.type_name());
  if (!name.starts_with(base)) return false;
  const std::string_view rest = name.substr(base.size());
  return rest.empty() || (rest.size() > 1 && rest[0] == '_' &&
                          rest.find_first_not_of("0123456789", 1) == rest.npos);
}

/// What a file has for a model's weights.
class Match {
 public:
  Match(const std::vector<LayerInFile>& layers, const internal::WeightsReader& file) : file_(file) {
    for (const WeightInFile& weight : file.weights()) unused_.emplace(weight.path, &weight);
    for (const LayerInFile& layer : layers) match(layer);
    for (const auto& [path, unused] : unused_)
      if (!file.is_other_state(path))
        problems_.push_back(fmt::format("{} of {}: no weight takes it", path, unused->shape));
  }

  const std::vector<std::string>& problems() const { return problems_; }

  /// Returns a hash of what was read.
  std::string assign() const {
    std::string all;
    for (const auto& [variable, in_file] : pairs_) {
      const Tensor value = file_.read(*in_file);
      all += wire::hash128({static_cast<const char*>(value.raw()), value.num_bytes()}).to_string();
      variable.assign(value);
    }
    return wire::hash128(all).to_string();
  }

 private:
  void match(const LayerInFile& layer) {
    if (!layer.path.empty() && !layer.weights.empty()) {
      const std::string theirs = file_.name_of(layer).value_or(layer.layer.name());
      if (theirs != layer.layer.name() && !(is_automatic(theirs, layer.layer.impl()) &&
                                            is_automatic(layer.layer.name(), layer.layer.impl())))
        problems_.push_back(fmt::format("{}: the file's layer is called \"{}\", the model's \"{}\"",
                                        layer.path, theirs, layer.layer.name()));
    }
    for (size_t i = 0; i < layer.weights.size(); ++i) match(layer, i);
  }

  void match(const LayerInFile& layer, size_t i) {
    const Variable& weight = layer.weights[i];
    const std::string path = file_.path_of(layer, i);
    const auto found = unused_.find(path);
    if (found == unused_.end()) {
      problems_.push_back(fmt::format("{}: the file has nothing for {}", path, weight.path()));
      return;
    }
    const WeightInFile& in_file = *found->second;
    unused_.erase(found);
    if (in_file.shape != weight.shape() || in_file.dtype != weight.dtype())
      problems_.push_back(fmt::format("{}: the file has {} of {} for {}, which is {} of {}", path,
                                      in_file.dtype, in_file.shape, weight.path(), weight.dtype(),
                                      weight.shape()));
    else
      pairs_.emplace_back(weight, &in_file);
  }

  const internal::WeightsReader& file_;
  std::map<std::string, const WeightInFile*> unused_;
  std::vector<std::pair<Variable, const WeightInFile*>> pairs_;
  std::vector<std::string> problems_;
};

std::string read_file(const std::shared_ptr<ModelImpl>& model, const std::string& path,
                      const LoadWeightsOptions& options) {
  const auto file = internal::weights_format_of("load_weights", path).open(path);
  const Match match(internal::layers_of("load_weights", model), *file);
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
  internal::weights_format_of("load_weights", filepath);
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
