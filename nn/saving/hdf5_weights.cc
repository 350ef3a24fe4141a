#include <fmt/format.h>

#include "cohort/checkpoint/hdf5_file.h"
#include "cohort/nn/saving/hdf5_weights.h"

namespace cohort::nn::internal {
namespace {

class Hdf5Weights final : public WeightsReader {
 public:
  explicit Hdf5Weights(const std::string& path) : file_(checkpoint::open_hdf5(path)) {
    for (const checkpoint::Hdf5Dataset& dataset : file_->datasets())
      weights_.push_back({dataset.path, dataset.dtype, dataset.shape});
  }
  const std::vector<WeightInFile>& weights() const override { return weights_; }
  std::string path_of(const LayerInFile& layer, size_t i) const override {
    return hdf5_path(layer, i);
  }
  std::optional<std::string> name_of(const LayerInFile& layer) const override {
    return file_->attribute(hdf5_group(layer), "name");
  }
  Tensor read(const WeightInFile& weight) const override {
    return file_->read({weight.path, weight.dtype, weight.shape});
  }

 private:
  std::unique_ptr<checkpoint::Hdf5Reader> file_;
  std::vector<WeightInFile> weights_;
};

std::unique_ptr<WeightsReader> open_hdf5(const std::string& path) {
  return std::make_unique<Hdf5Weights>(path);
}

void write_hdf5(const std::string& path, const std::vector<LayerInFile>& layers,
                const WeightValue& value, const SaveWeightsOptions& options) {
  if (options.max_shard_size)
    throw InvalidArgument(
        "save_weights: {}: got max_shard_size {}; want a path that ends in {}, or no such size",
        path, *options.max_shard_size, kShardedWeights.ending);
  const auto file = checkpoint::create_hdf5(path);
  write_layers(*file, layers, value);
  file->close();
}

}  // namespace

void write_layers(checkpoint::Hdf5Writer& file, const std::vector<LayerInFile>& layers,
                  const WeightValue& value) {
  for (const LayerInFile& layer : layers) {
    file.make_group(hdf5_group(layer));
    file.set_attribute(hdf5_group(layer), "name", layer.layer.name());
    for (size_t i = 0; i < layer.weights.size(); ++i)
      file.write(hdf5_path(layer, i), value(layer.weights[i]));
  }
}

std::string hdf5_group(const LayerInFile& layer) {
  return layer.path.empty() ? "vars" : layer.path + "/vars";
}
std::string hdf5_path(const LayerInFile& layer, size_t i) {
  return fmt::format("{}/{}", hdf5_group(layer), i);
}

constexpr WeightsFormat kHdf5Weights{".weights.h5", open_hdf5, write_hdf5};

}  // namespace cohort::nn::internal
