#include "cohort/nn/saving/saved_model.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "cohort/checkpoint/hdf5_file.h"
#include "cohort/checkpoint/replaced_file.h"
#include "cohort/core/system.h"
#include "cohort/data/archive.h"
#include "cohort/nn/internal/warning.h"
#include "cohort/nn/model_impl.h"
#include "cohort/nn/saving/agreement.h"
#include "cohort/nn/saving/compile_configs.h"
#include "cohort/nn/saving/hdf5_weights.h"
#include "cohort/nn/saving/model_configs.h"
#include "cohort/nn/saving/object_walk.h"
#include "cohort/nn/saving/optimizer_weights.h"

namespace cohort::nn {
namespace {

constexpr const char* kKerasVersion = "3.15.1";  // whose form it is
constexpr const char* kWeights = "model.weights.h5";
constexpr uint64_t kMaxConfig = uint64_t{32} << 20;
constexpr uint64_t kMaxMetadata = uint64_t{1} << 20;
/// A file of weights has at most this many times the model's numbers: optimizers keep up to four
/// of each; and so much besides for each layer.
constexpr uint64_t kMostCopies = 8, kBesides = uint64_t{64} << 20;

/// A file that is there until this ends.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path(std::move(path)) {}
  ~TemporaryFile() { ::unlink(path.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string path;
};

void want_ending(const char* what, const std::string& path) {
  if (!path.ends_with(".keras"))
    throw InvalidArgument("{}: got the path \"{}\"; want one that ends in .keras", what, path);
}

std::string now() {
  const std::time_t time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d@%H:%M:%S", &parts);
  return text;
}

using internal::LayerInFile;
using internal::OptimizerWeight;

/// What a save writes.
struct Saved {
  Config config;
  std::vector<LayerInFile> layers;
  std::vector<OptimizerWeight> optimizer;
  std::vector<std::pair<std::string, std::string>> optimizer_groups;

  std::vector<Variable> variables() const {
    std::vector<Variable> all;
    for (const LayerInFile& layer : layers)
      all.insert(all.end(), layer.weights.begin(), layer.weights.end());
    for (const OptimizerWeight& weight : optimizer) all.push_back(weight.variable);
    return all;
  }
};

Saved saved_of(const std::shared_ptr<ModelImpl>& model, const SaveModelOptions& options) {
  const bool optimizes = options.include_optimizer;
  Saved saved{
      .config = optimizes ? serialize(Layer(model)) : internal::describe_layer(Layer(model)),
      .layers = internal::layers_of("save", model),
      .optimizer = {},
      .optimizer_groups = {}};
  if (const Optimizer optimizer = model->optimizer(); optimizes && optimizer.defined()) {
    saved.optimizer = internal::optimizer_weights(optimizer);
    saved.optimizer_groups = internal::optimizer_groups(optimizer);
  }
  return saved;
}

void write_file(const std::string& path, const Saved& saved, const internal::WeightValue& value) {
  const TemporaryFile weights(checkpoint::ReplacedFile::partial_path(path) + "." + kWeights);
  const TemporaryFile partial(checkpoint::ReplacedFile::partial_path(path));
  const auto file = checkpoint::create_hdf5(weights.path);
  internal::write_layers(*file, saved.layers, value);
  for (const auto& [group, name] : saved.optimizer_groups) {
    file->make_group(group);
    file->set_attribute(group, "name", name);
  }
  for (const OptimizerWeight& weight : saved.optimizer)
    file->write(weight.path, value(weight.variable));
  file->close();
  const Config metadata =
      Config::members({{"keras_version", kKerasVersion}, {"date_saved", now()}});
  data::write_archive(partial.path, {{.name = "metadata.json", .text = metadata.to_json()},
                                     {.name = "config.json", .text = saved.config.to_json()},
                                     {.name = kWeights, .from_file = weights.path}});
  checkpoint::replace_file(partial.path, path);
}

Model model_of(const Config& config, const ObjectRegistry& custom_objects, bool compile,
               const std::string& where) {
  try {
    const internal::Reading reading(custom_objects);
    const auto layer = internal::read_object<Layer>(config, reading);
    const auto impl = std::dynamic_pointer_cast<ModelImpl>(layer.shared());
    if (!impl) throw InvalidArgument("got a layer of class {}; want a model", layer->type_name());
    const Model model(impl);
    const Config* compiled = config.find("compile_config");
    if (compile && compiled && compiled->is_object() && !compiled->as_object().empty())
      model.compile(internal::read_compile_options(*compiled, model.output_names(), reading));
    return model;
  } catch (const Error& error) {
    throw error.within(where);
  }
}

uint64_t weight_bytes(const std::string& where, const std::vector<LayerInFile>& layers,
                      uint64_t file_bytes) {
  uint64_t bytes = 0;
  for (const LayerInFile& layer : layers)
    for (const Variable& weight : layer.weights) {
      uint64_t size = size_of(weight.dtype());
      for (int axis = 0; axis < weight.shape().rank(); ++axis)
        if (__builtin_mul_overflow(size, static_cast<uint64_t>(weight.shape().size(axis)), &size))
          size = UINT64_MAX / 2;
      bytes = std::min(UINT64_MAX / 2, bytes) + std::min(UINT64_MAX / 2, size);
      if (bytes > file_bytes)
        throw DataLoss("{}: {}: got {} bytes of weights for a model with more, {} of {}", where,
                       kWeights, file_bytes, weight.path(), weight.shape());
    }
  return bytes;
}

/// What fails on one worker is thrown by all.
template <class Part>
void on_all_workers(ModelImpl& model, const char* label, Part&& part) {
  distribute::Workers& workers = model.strategy().workers();
  internal::collectively(workers, "load_model()", [&] {
    return internal::Agreement(workers).gather(label, [&] {
      part();
      return "";
    });
  });
}

std::string temporary_path() {
  std::string path = (std::filesystem::temp_directory_path() / "cohort-XXXXXX.weights.h5").string();
  const int file = ::mkstemps(path.data(), 11);
  if (file < 0) throw system_error("load_model: " + path, errno);
  ::close(file);
  ::unlink(path.c_str());
  return path;
}

}  // namespace

void Model::save(const std::string& filepath, SaveModelOptions options) const {
  want_ending("save", filepath);
  const auto model = std::static_pointer_cast<ModelImpl>(shared());
  const Saved saved = saved_of(model, options);
  distribute::Workers& workers = model->strategy().workers();
  internal::collectively(workers, "save()", [&] {
    std::map<const VariableState*, Tensor> whole;  // what all workers together make so
    for (const Variable& variable : saved.variables())
      if (internal::is_of_all(*variable.shared()))
        whole[variable.shared().get()] = variable.shared()->value();
    return internal::Agreement(workers).from_chief("model", [&] {
      if (!options.overwrite && checkpoint::posix_storage()->exists(filepath))
        throw AlreadyExists(
            "save: {}: got a file that is there; want overwrite = true, or another path", filepath);
      write_file(filepath, saved, [&](const Variable& variable) {
        const auto made = whole.find(variable.shared().get());
        return made == whole.end() ? variable.shared()->value() : made->second;
      });
      return "";
    });
  });
}

Model load_model(const std::string& filepath, LoadModelOptions options) {
  want_ending("load_model", filepath);
  const std::string where = "load_model: " + filepath;
  const auto archive = data::open_archive(filepath);
  static_cast<void>(
      Config::parse(archive->read("metadata.json", kMaxMetadata), where + ": metadata.json"));
  const Config config =
      Config::parse(archive->read("config.json", kMaxConfig), where + ": config.json");
  const Model model =
      model_of(config, options.custom_objects, options.compile, where + ": config.json");
  const auto impl = std::static_pointer_cast<ModelImpl>(model.shared());
  const std::vector<LayerInFile> layers = internal::layers_of("load_model", impl);
  const uint64_t bytes = weight_bytes(where, layers, archive->num_bytes(kWeights));
  const TemporaryFile weights(temporary_path());
  on_all_workers(*impl, "file",
                 [&] { archive->extract(kWeights, weights.path, kMostCopies * bytes + kBesides); });
  try {
    model.load_weights(weights.path, {.skip_mismatch = options.skip_mismatch});
  } catch (const Error& error) {
    throw error.within(where);
  }
  on_all_workers(*impl, "optimizer", [&] {
    if (const Optimizer optimizer = impl->optimizer(); optimizer.defined())
      internal::load_optimizer(weights.path, optimizer, model.trainable_weights());
  });
  return model;
}

Model model_from_json(const std::string& json, const ObjectRegistry& custom_objects) {
  return model_of(Config::parse(json, "model_from_json"), custom_objects, true, "model_from_json");
}

Model clone_model(const Model& model) {
  return model_of(internal::describe_layer(model), {}, false, "clone_model");
}

}  // namespace cohort::nn
