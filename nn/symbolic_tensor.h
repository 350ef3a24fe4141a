#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/core/graph/graph.h"

namespace cohort::nn {

class Layer;
struct LayerCall;

/// A tensor of the functional form: the type of what a layer would return, and which call returned
/// it. Made by Input and by calling layers on other symbolic tensors; given to Model. A cheap
/// handle that keeps its history alive.
class SymbolicTensor {
 public:
  SymbolicTensor() = default;
  SymbolicTensor(std::shared_ptr<const LayerCall> call, int index)
      : call_(std::move(call)), index_(index) {}

  bool defined() const { return call_ != nullptr; }
  const TensorType& type() const;
  DType dtype() const { return type().dtype; }
  const Shape& shape() const { return type().shape; }

  /// The layer that made it; for the result of Input an InputLayer, so that
  /// `Sequential({Input({…}), …})` reads as in Keras.
  Layer layer() const;
  operator Layer() const;  // NOLINT

  const LayerCall& call() const;
  const std::shared_ptr<const LayerCall>& shared_call() const { return call_; }
  int index() const { return index_; }
  bool operator==(const SymbolicTensor&) const = default;

 private:
  std::shared_ptr<const LayerCall> call_;
  int index_ = 0;
};

struct InputOptions {
  Shape shape;  ///< of one example: without the batch dimension
  DType dtype = DType::kF32;
  std::string name = "";
};

/// An input of a functional model: [N, shape…]. Integers fed to a floating input are converted.
SymbolicTensor Input(InputOptions options);

}  // namespace cohort::nn
