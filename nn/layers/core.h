#pragma once

#include "nn/activations.h"
#include "nn/layer.h"

/// Layers on tensors of any rank. N is the batch.
namespace cohort::nn {

struct DenseOptions {
  int64_t units;
  ActivationFunction activation = {};
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer kernel_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};
  bool trainable = true;
  DType dtype = DType::kF32;
  std::string name = "";
};
/// activation(x kernel + bias): [N, …, K] -> [N, …, units]; weights "kernel" [K, units], "bias"
/// [units]. InvalidArgument for units < 1 and for inputs of another last dimension.
class Dense : public Layer {
 public:
  explicit Dense(DenseOptions options);
};

struct ActivationOptions {
  ActivationFunction activation;
  bool trainable = true;
  DType dtype = DType::kF32;
  std::string name = "";
};
class Activation : public Layer {
 public:
  explicit Activation(ActivationOptions options);
  explicit Activation(ActivationFunction activation)
      : Activation(ActivationOptions{.activation = std::move(activation)}) {}
};

struct FlattenOptions {
  bool trainable = true;
  DType dtype = DType::kF32;
  std::string name = "";
};
/// [N, a, b, …] -> [N, a * b * …]; [N] -> [N, 1]. Keeps the dtype.
class Flatten : public Layer {
 public:
  explicit Flatten(FlattenOptions options = {});
};

struct ReshapeOptions {
  std::vector<int64_t> target_shape;  ///< without the batch; one dimension may be -1
  bool trainable = true;
  DType dtype = DType::kF32;
  std::string name = "";
};
/// [N, …] -> [N, target_shape…]; InvalidArgument when the numbers of elements differ.
class Reshape : public Layer {
 public:
  explicit Reshape(ReshapeOptions options);
};

struct DropoutOptions {
  double rate;
  std::optional<int64_t> seed = {};  ///< absent: the program's
  bool trainable = true;
  DType dtype = DType::kF32;
  std::string name = "";
};
/// In training sets elements to 0 with probability `rate` in [0, 1) and scales the others by
/// 1 / (1 - rate). The same elements on any number of replicas.
class Dropout : public Layer {
 public:
  explicit Dropout(DropoutOptions options);
};

struct RescalingOptions {
  double scale;
  double offset = 0.0;
  bool trainable = true;
  DType dtype = DType::kF32;
  std::string name = "";
};
/// x * scale + offset; integers (images of bytes) become the layer's dtype.
class Rescaling : public Layer {
 public:
  explicit Rescaling(RescalingOptions options);
};

struct ConcatenateOptions {
  int64_t axis = -1;
  bool trainable = true;
  DType dtype = DType::kF32;
  std::string name = "";
};
/// Two or more inputs, equal but for `axis`, joined along it.
class Concatenate : public Layer {
 public:
  explicit Concatenate(ConcatenateOptions options = {});
};

struct AddOptions {
  bool trainable = true;
  DType dtype = DType::kF32;
  std::string name = "";
};
/// The sum of two or more inputs of one shape.
class Add : public Layer {
 public:
  explicit Add(AddOptions options = {});
};

}  // namespace cohort::nn
