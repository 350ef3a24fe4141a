#include <algorithm>
#include <map>
#include <utility>

#include "cohort/checkpoint/replaced_file.h"
#include "cohort/checkpoint/safetensors.h"
#include "cohort/nn/saving/weights_format.h"

// A tensor for each weight, "layers/dense_1/kernel", as in a checkpoint (without the root's name);
// the metadata has each layer's own name, "name:layers/dense_1" -> "head". Larger elements come
// first, so that each is aligned.
namespace cohort::nn::internal {
namespace {

constexpr size_t kAlignment = 8;

std::string name_key(const LayerInFile& layer) { return "name:" + layer.path; }

class SafetensorsWeights final : public WeightsReader {
 public:
  explicit SafetensorsWeights(const std::string& path)
      : file_(checkpoint::posix_storage()->open(path)),
        header_(checkpoint::read_safetensors_header(*file_, path)) {
    for (const checkpoint::SafetensorsEntry& entry : header_.entries) {
      checkpoint::count_elements(entry.shape, entry.dtype, path);
      weights_.push_back({entry.name, entry.dtype, Shape(entry.shape)});
      begin_[entry.name] = header_.num_bytes + entry.begin;
    }
    std::sort(weights_.begin(), weights_.end(),
              [](const WeightInFile& a, const WeightInFile& b) { return a.path < b.path; });
  }
  const std::vector<WeightInFile>& weights() const override { return weights_; }
  std::string path_of(const LayerInFile& layer, size_t i) const override {
    return tensor_name(layer, layer.weights[i]);
  }
  std::optional<std::string> name_of(const LayerInFile& layer) const override {
    const auto found = header_.metadata.find(name_key(layer));
    if (found == header_.metadata.end()) return {};
    return found->second;
  }
  bool is_other_state(const std::string& path) const override {
    return WeightsReader::is_other_state(path) || path == "steps_trained";
  }
  Tensor read(const WeightInFile& weight) const override {
    Tensor value(weight.dtype, weight.shape);
    file_->read(begin_.at(weight.path), value.raw(), value.num_bytes());
    return value;
  }

 private:
  std::unique_ptr<checkpoint::InputFile> file_;
  checkpoint::SafetensorsHeader header_;
  std::vector<WeightInFile> weights_;
  std::map<std::string, uint64_t> begin_;
};

std::unique_ptr<WeightsReader> open_safetensors(const std::string& path) {
  return std::make_unique<SafetensorsWeights>(path);
}

void write_safetensors(const std::string& path, const std::vector<LayerInFile>& layers,
                       const WeightValue& value, const SaveWeightsOptions& options) {
  if (options.max_shard_size)
    throw InvalidArgument(
        "save_weights: {}: got max_shard_size {}; want a path that ends in {}, or no such size",
        path, *options.max_shard_size, kShardedWeights.ending);
  std::vector<std::pair<std::string, Variable>> weights;
  std::map<std::string, std::string> metadata = {{"format", "pt"}};  // as other writers
  for (const LayerInFile& layer : layers) {
    if (!layer.path.empty() && !layer.weights.empty())
      metadata[name_key(layer)] = layer.layer.name();
    for (const Variable& weight : layer.weights)
      weights.emplace_back(tensor_name(layer, weight), weight);
  }
  std::stable_sort(weights.begin(), weights.end(), [](const auto& a, const auto& b) {
    return size_of(a.second.dtype()) > size_of(b.second.dtype());
  });
  std::vector<checkpoint::SafetensorsEntry> entries;
  uint64_t end = 0;
  for (const auto& [key, weight] : weights) {
    const uint64_t begin = end;
    end += static_cast<uint64_t>(weight.shape().num_elements()) * size_of(weight.dtype());
    std::vector<int64_t> shape;
    for (int i = 0; i < weight.shape().rank(); ++i) shape.push_back(weight.shape()[i].number());
    entries.push_back({key, weight.dtype(), shape, begin, end});
  }
  checkpoint::ReplacedFile file(path);
  file.append(checkpoint::serialize_safetensors_header(entries, metadata, kAlignment));
  for (const auto& [key, weight] : weights) {
    const Tensor bytes = value(weight);
    file.append({static_cast<const char*>(bytes.raw()), bytes.num_bytes()});
  }
  file.close();
}

}  // namespace

constexpr WeightsFormat kSafetensorsWeights{".safetensors", open_safetensors, write_safetensors};

}  // namespace cohort::nn::internal
