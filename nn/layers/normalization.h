#pragma once

#include "cohort/nn/layer.h"

namespace cohort::nn {

/// [N, …, C] normalised over all axes but `axis`: in training by the batch's statistics, else
/// (and when not trainable) by the moving ones. Weights "gamma", "beta", "moving_mean",
/// "moving_variance", all [C]. In training the moving statistics become momentum * old +
/// (1 - momentum) * the mean over the replicas that have rows; without rows they stay. A mask
/// [N, …], of one dimension less, leaves elements out of the batch's statistics.
struct BatchNormalization {
  int64_t axis = -1;  ///< of the channels; channels last is the fastest
  double momentum = 0.99;
  double epsilon = 0.001;
  bool center = true;
  bool scale = true;
  Initializer beta_initializer = "zeros";
  Initializer gamma_initializer = "ones";
  Initializer moving_mean_initializer = "zeros";
  Initializer moving_variance_initializer = "ones";
  Regularizer beta_regularizer = {};
  Regularizer gamma_regularizer = {};
  Constraint beta_constraint = {};
  Constraint gamma_constraint = {};
  /// Statistics over the rows of all replicas; else each replica normalises by its own.
  bool synchronized = false;
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
