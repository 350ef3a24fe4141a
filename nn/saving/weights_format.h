#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/nn/saving/keras_layers.h"

/// The kinds of files that hold a model's weights.
namespace cohort::nn::internal {

struct WeightInFile {
  std::string path;  ///< how errors call it: "layers/dense/vars/0"
  DType dtype = DType::kF32;
  Shape shape;
};

/// A file that is read, of whatever origin.
class WeightsReader {
 public:
  virtual ~WeightsReader() = default;
  /// All of them, in ascending order of paths.
  virtual const std::vector<WeightInFile>& weights() const = 0;
  /// Where weight `i` of the layer is, if it is there.
  virtual std::string path_of(const LayerInFile& layer, size_t i) const = 0;
  /// How the layer was called when the file was written, if the file says so.
  virtual std::optional<std::string> name_of(const LayerInFile& layer) const = 0;
  /// Whether what is there belongs to training, an optimizer's, and no layer is to take it.
  virtual bool is_other_state(const std::string& path) const {
    return path.starts_with("optimizer/");
  }
  virtual Tensor read(const WeightInFile& weight) const = 0;
};

using WeightValue = std::function<Tensor(const Variable&)>;

struct WeightsFormat {
  std::string_view ending;  ///< of paths
  /// Errors name the file: NotFound, DataLoss where it is none of this format or torn.
  std::unique_ptr<WeightsReader> (*open)(const std::string& path);
  /// A new file, or one in the place of that at the path, which survives a crash of the machine.
  void (*write)(const std::string& path, const std::vector<LayerInFile>& layers,
                const WeightValue& value, const SaveWeightsOptions& options);
};

/// By the path's ending; InvalidArgument, beginning with `what`, that lists the endings.
const WeightsFormat& weights_format_of(const std::string& what, const std::string& path);

// One file for each of them.
extern const WeightsFormat kHdf5Weights, kShardedWeights, kSafetensorsWeights;

}  // namespace cohort::nn::internal
