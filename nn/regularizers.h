#pragma once

#include <any>
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
  /// Of one of nn::regularizers, or of a user's options that convert to this.
  Regularizer(std::function<Value(Value)> penalty, std::any made_of)
      : penalty_(std::move(penalty)), made_of_(std::move(made_of)) {}

  bool defined() const { return penalty_ != nullptr; }
  Value operator()(Value x) const { return penalty_(x); }

  /// The options; empty where a function was given.
  const std::any& made_of() const { return made_of_; }

 private:
  std::function<Value(Value)> penalty_;
  std::any made_of_;
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
