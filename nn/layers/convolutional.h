#pragma once

#include "cohort/nn/activations.h"
#include "cohort/nn/layer.h"

/// Layers on images, channels last: [N, H, W, C].
namespace cohort::nn {

/// Rows and columns; one number stands for both.
struct Size2D {
  Size2D(int64_t both) : rows(both), columns(both) {}  // NOLINT
  Size2D(int64_t rows, int64_t columns) : rows(rows), columns(columns) {}
  int64_t rows, columns;
};

/// Cross-correlation: [N, H, W, C] -> [N, H', W', filters]; weights "kernel" [KH, KW, C / groups,
/// filters] and "bias" [filters]. InvalidArgument for inputs of another rank or other channels.
struct Conv2D {
  int64_t filters;
  Size2D kernel_size;
  Size2D strides = 1;
  std::string padding = "valid";  ///< or "same"
  Size2D dilation_rate = 1;
  int64_t groups = 1;
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

/// The largest of each window: [N, H, W, C] -> [N, H', W', C].
struct MaxPooling2D {
  Size2D pool_size = 2;
  std::optional<Size2D> strides = {};  ///< absent: pool_size
  std::string padding = "valid";       ///< or "same"; padding neither wins nor is counted
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

/// The mean of each window: [N, H, W, C] -> [N, H', W', C].
struct AveragePooling2D {
  Size2D pool_size = 2;
  std::optional<Size2D> strides = {};  ///< absent: pool_size
  std::string padding = "valid";       ///< or "same"; padding neither wins nor is counted
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

/// The means of the channels: [N, H, W, C] -> [N, C].
struct GlobalAveragePooling2D {
  bool keepdims = false;  ///< true: [N, 1, 1, C]
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";

  operator Layer() const;
  SymbolicTensor operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) && {
    return Layer(*this)(x.tensors, options);
  }
  void operator()(const SymbolicInputs& x, const SymbolicCallOptions& options = {}) const& = delete;
};

/// The largest of each channel: [N, H, W, C] -> [N, C].
struct GlobalMaxPooling2D {
  bool keepdims = false;  ///< true: [N, 1, 1, C]
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
