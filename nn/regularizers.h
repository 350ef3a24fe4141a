#pragma once

#include <functional>
#include <string_view>

#include "cohort/core/graph/graph.h"

namespace cohort::nn {

/// A penalty on a weight or an output, added to the loss. Given by name ("l1", "L2"), as
/// one of nn::regularizers, or as a function of the value to a scalar. Empty: none.
class Regularizer {
 public:
  Regularizer() = default;
  /// Throws InvalidArgument that lists the known names.
  Regularizer(const char* name);                                                      // NOLINT
  Regularizer(std::function<Value(Value)> penalty) : penalty_(std::move(penalty)) {}  // NOLINT

  bool defined() const { return penalty_ != nullptr; }
  Value operator()(Value x) const { return penalty_(x); }

 private:
  std::function<Value(Value)> penalty_;
};

namespace regularizers {

/// l1 * sum |x|
struct L1 {
  double l1 = 0.01;

  operator Regularizer() const;
};

/// l2 * sum x^2
struct L2 {
  double l2 = 0.01;

  operator Regularizer() const;
};

/// l1 * sum |x| + l2 * sum x^2
struct L1L2 {
  double l1 = 0.0;
  double l2 = 0.0;

  operator Regularizer() const;
};

}  // namespace regularizers
}  // namespace cohort::nn
