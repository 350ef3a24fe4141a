#pragma once

#include "cohort/nn/layer.h"

namespace cohort::nn {

/// Says what a model takes. Called on values it checks their shape and converts their dtype.
class InputLayerImpl : public LayerImpl {
 public:
  explicit InputLayerImpl(InputOptions options);

  const TensorType& type() const { return type_; }
  std::vector<Value> call(const CallArgs& args) override;
  /// `x` in the input's dtype; InvalidArgument when its shape is another.
  Value convert(Value x) const;
  /// What it stands for in a functional model.
  SymbolicTensor symbol() const;

 protected:
  bool converts_inputs() const override { return false; }

 private:
  TensorType type_;
};

}  // namespace cohort::nn
