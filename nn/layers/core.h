#pragma once

#include "cohort/nn/activations.h"
#include "cohort/nn/layer.h"

/// Layers on tensors of any rank. N is the batch.
namespace cohort::nn {

/// activation(x kernel + bias): [N, …, K] -> [N, …, units]; weights "kernel" [K, units], "bias"
/// [units]. InvalidArgument for units < 1 and for inputs of another last dimension.
struct Dense {
  int64_t units;
  ActivationFunction activation = {};
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer kernel_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};
  Constraint kernel_constraint = {};
  Constraint bias_constraint = {};
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

/// Rows of a table: [N, …] of 0 … input_dim - 1 -> [N, …, output_dim]; weight "embeddings"
/// [input_dim, output_dim]. Inputs that are not integers are rounded towards zero. The gradient
/// stays slices, rows and their numbers, as long as that is less than the table. InvalidArgument
/// for dimensions < 1; OutOfRange, in a step, for another index.
struct Embedding {
  int64_t input_dim;   ///< rows of the table
  int64_t output_dim;  ///< elements of a row
  Initializer embeddings_initializer = "uniform";
  Regularizer embeddings_regularizer = {};
  Constraint embeddings_constraint = {};
  bool mask_zero = false;  ///< rows of number 0 are masked: they stand for nothing
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

struct Activation {
  ActivationFunction activation;
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

/// [N, a, b, …] -> [N, a * b * …]; [N] -> [N, 1]. Keeps the dtype.
struct Flatten {
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

/// [N, …] -> [N, target_shape…]; InvalidArgument when the numbers of elements differ.
struct Reshape {
  std::vector<int64_t> target_shape;  ///< without the batch; one dimension may be -1
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

/// In training sets elements to 0 with probability `rate` in [0, 1) and scales the others by
/// 1 / (1 - rate). The same elements on any number of replicas.
struct Dropout {
  double rate;
  std::optional<int64_t> seed = {};  ///< absent: the program's
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

/// x * scale + offset; integers (images of bytes) become the layer's dtype.
struct Rescaling {
  double scale;
  double offset = 0.0;
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

/// Two or more inputs, equal but for `axis`, joined along it.
struct Concatenate {
  int64_t axis = -1;
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

/// The sum of two or more inputs. Behind the rows a dimension of 1 broadcasts, and inputs of a
/// lower rank get dimensions of 1: [N, 3] + [N, 4, 3] is [N, 1, 3] + [N, 4, 3].
struct Add {
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

/// Steps [N, T, K] all of whose elements are mask_value are masked, and set to 0.
struct Masking {
  double mask_value = 0.0;
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

}  // namespace cohort::nn
