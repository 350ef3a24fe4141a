#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "cohort/checkpoint/hdf5_file.h"
#include "cohort/checkpoint/replaced_file.h"
#include "cohort/nn/saving/hdf5_weights.h"

// Keras' layout of several files (keras 3.15, ShardedH5IOStore): "x.weights.json" says in which of
// "x_00000.weights.h5", … each group "/<path>/vars" is: a list, since a group may go on in the next
// file. Its reader opens the file 00000 by that name.
namespace cohort::nn::internal {
namespace {

using checkpoint::Hdf5Dataset;
using checkpoint::Hdf5Reader;
using checkpoint::Hdf5Writer;

constexpr uint64_t kMaxIndexBytes = 64 << 20;
constexpr double kGigabyte = 1 << 30;

/// "a/x" of "a/x.weights.json".
std::string stem_of(const std::string& path) {
  return path.substr(0, path.size() - kShardedWeights.ending.size());
}

std::string shard_path(const std::string& path, size_t number) {
  return fmt::format("{}_{:05}.weights.h5", stem_of(path), number);
}

std::string name_of_file(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// The names of the files of an index, each once.
std::vector<std::string> read_index(const std::string& path) {
  const std::string text =
      checkpoint::read_file(*checkpoint::posix_storage(), path, kMaxIndexBytes);
  const nlohmann::json index = nlohmann::json::parse(text, nullptr, false);
  const auto bad = [&](std::string_view got) {
    return DataLoss(
        "load_weights: {}: got {}; want {{\"weight_map\": {{GROUP: FILE or list of FILEs}}}} with "
        "files beside it",
        path, got);
  };
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    throw bad("no such object");
  std::vector<std::string> names;
  const auto add = [&](const nlohmann::json& name) {
    if (!name.is_string()) throw bad(fmt::format("{} as a file", name.dump().substr(0, 80)));
    const auto text = name.get<std::string>();
    if (text.empty() || text == "." || text == ".." || text.find('/') != text.npos ||
        text.find('\0') != text.npos)
      throw bad(fmt::format("the file \"{}\"", text.substr(0, 80)));
    names.push_back(text);
  };
  for (const auto& [group, files] : index["weight_map"].items())
    if (files.is_array())
      for (const nlohmann::json& file : files) add(file);
    else
      add(files);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

class ShardedWeights final : public WeightsReader {
 public:
  explicit ShardedWeights(const std::string& path) {
    for (const std::string& name : read_index(path)) {
      files_.push_back(
          checkpoint::open_hdf5(checkpoint::join_path(checkpoint::parent_path(path), name)));
      for (const Hdf5Dataset& dataset : files_.back()->datasets()) {
        if (!file_of_.emplace(dataset.path, files_.back().get()).second)
          throw DataLoss(
              "load_weights: {}: got {} in two of its files, {} among them; want it once", path,
              dataset.path, name);
        weights_.push_back({dataset.path, dataset.dtype, dataset.shape});
      }
    }
    std::sort(weights_.begin(), weights_.end(),
              [](const WeightInFile& a, const WeightInFile& b) { return a.path < b.path; });
  }
  const std::vector<WeightInFile>& weights() const override { return weights_; }
  std::string path_of(const LayerInFile& layer, size_t i) const override {
    return hdf5_path(layer, i);
  }
  std::optional<std::string> name_of(const LayerInFile& layer) const override {
    for (const auto& file : files_)
      if (auto name = file->attribute(hdf5_group(layer), "name")) return name;
    return {};
  }
  Tensor read(const WeightInFile& weight) const override {
    return file_of_.at(weight.path)->read({weight.path, weight.dtype, weight.shape});
  }

 private:
  std::vector<std::unique_ptr<Hdf5Reader>> files_;
  std::map<std::string, const Hdf5Reader*> file_of_;
  std::vector<WeightInFile> weights_;
};

/// Fills one file after the other.
class Shards {
 public:
  Shards(const std::string& path, double max_bytes) : path_(path), max_bytes_(max_bytes) {}

  void write(const LayerInFile& layer, size_t i, const Tensor& value) {
    const auto bytes = static_cast<double>(value.num_bytes());
    if (!file_ || filled_ + bytes > max_bytes_) begin_file();
    filled_ += bytes;
    total_ += value.num_bytes();
    const std::string group = hdf5_group(layer);
    nlohmann::json& files = map_["/" + group];
    const std::string name = name_of_file(shard_path(path_, count_ - 1));
    if (files.is_null() || files.back() != name) {
      file_->make_group(group);
      file_->set_attribute(group, "name", layer.layer.name());
      files.push_back(name);
    }
    file_->write(hdf5_path(layer, i), value);
  }

  /// The index comes last: whoever finds it finds all files.
  void close() {
    if (!file_) begin_file();
    file_->close();
    const nlohmann::json index = {{"metadata", {{"total_size", total_}}}, {"weight_map", map_}};
    checkpoint::ReplacedFile file(path_);
    file.append(index.dump(4));
    file.close();
  }

 private:
  void begin_file() {
    if (file_) file_->close();
    file_ = checkpoint::create_hdf5(shard_path(path_, count_++));
    filled_ = 0;
  }

  std::string path_;
  double max_bytes_, filled_ = 0;
  uint64_t total_ = 0;
  size_t count_ = 0;
  std::unique_ptr<Hdf5Writer> file_;
  nlohmann::json map_ = nlohmann::json::object();
};

void check_sizes(const std::string& path, const std::vector<LayerInFile>& layers,
                 double gigabytes) {
  for (const LayerInFile& layer : layers)
    for (const Variable& weight : layer.weights) {
      const auto bytes = static_cast<double>(weight.shape().num_elements()) *
                         static_cast<double>(size_of(weight.dtype()));
      if (bytes > gigabytes * kGigabyte)
        throw InvalidArgument(
            "save_weights: {}: got max_shard_size {} for {} of {} bytes; want {} or more, in GB",
            path, gigabytes, weight.path(), bytes, bytes / kGigabyte);
    }
}

std::unique_ptr<WeightsReader> open_sharded(const std::string& path) {
  return std::make_unique<ShardedWeights>(path);
}

void write_sharded(const std::string& path, const std::vector<LayerInFile>& layers,
                   const WeightValue& value, const SaveWeightsOptions& options) {
  if (!options.max_shard_size || !(*options.max_shard_size > 0))
    throw InvalidArgument("save_weights: {}: got {}; want one of more than 0, in GB", path,
                          options.max_shard_size
                              ? fmt::format("max_shard_size {}", *options.max_shard_size)
                              : "no max_shard_size");
  check_sizes(path, layers, *options.max_shard_size);
  // An index of another model's files beside new ones would be a mixture.
  const auto storage = checkpoint::posix_storage();
  if (storage->exists(path)) storage->remove_file(path);
  Shards shards(path, *options.max_shard_size * kGigabyte);
  for (const LayerInFile& layer : layers)
    for (size_t i = 0; i < layer.weights.size(); ++i)
      shards.write(layer, i, value(layer.weights[i]));
  shards.close();
}

}  // namespace

constexpr WeightsFormat kShardedWeights{".weights.json", open_sharded, write_sharded};

}  // namespace cohort::nn::internal
