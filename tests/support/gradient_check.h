#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "cohort/core/graph/variable.h"
#include "tests/support/evaluate.h"

namespace cohort::testing {

struct GradientCheck {
  /// 1: gradients; 2: gradients of gradients as well.
  int order = 2;
  /// Inputs whose dimension 0 is the symbol N while the graph is built.
  std::vector<int> batched = {};
  /// What f depends on besides: checked as inputs are, where they are of f64.
  std::vector<std::shared_ptr<VariableState>> variables = {};
  double step = 1e-5;
  double tolerance = 1e-6;  ///< of max(1, |gradient|)
};

/// Checks the gradient rules of what `function` records: for f = sum(w y) with fixed random w, each
/// df/dx that gradients() builds against (f(x + h) - f(x - h)) / 2h, in f64, for every element of
/// every f64 input and variable. An absent gradient must be a zero one. For order 2 the same for
/// the weighted sum of the gradients.
void check_gradients(const std::function<Value(std::span<const Value>)>& function,
                     const std::vector<Tensor>& inputs, const GradientCheck& options = {});

}  // namespace cohort::testing
