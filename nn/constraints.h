#pragma once

#include <any>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "cohort/core/graph/graph.h"

namespace cohort::nn {

/// What a weight is held to: after each update it becomes what the constraint makes of it. Given by
/// name ("max_norm", "NonNeg"), as one of nn::constraints, or as a function of the weight to one of
/// the same type. Empty: none.
class Constraint {
 public:
  Constraint() = default;
  /// Throws InvalidArgument that lists the known names.
  Constraint(const char* name);  // NOLINT
  Constraint(std::function<Value(Value)> projection)
      : projection_(std::move(projection)) {}  // NOLINT
  /// Of one of nn::constraints, or of a user's options that convert to this.
  Constraint(std::function<Value(Value)> projection, std::any made_of)
      : projection_(std::move(projection)), made_of_(std::move(made_of)) {}

  bool defined() const { return projection_ != nullptr; }
  Value operator()(Value weight) const { return projection_(weight); }

  /// The options; empty where a function was given.
  const std::any& made_of() const { return made_of_; }

 private:
  std::function<Value(Value)> projection_;
  std::any made_of_;
};

namespace constraints {

/// Dimensions of a weight; one number stands for a list of one.
struct Axes {
  Axes(int64_t axis) : list{axis} {}  // NOLINT
  Axes(std::initializer_list<int64_t> axes) : list(axes) {}
  std::vector<int64_t> list;
};

/// Norms, along `axis`, of at most max_value: w * min(|w|, max_value) / (1e-7 + |w|).
struct MaxNorm {
  double max_value = 2.0;
  Axes axis = 0;

  operator Constraint() const;
};

/// max(w, 0)
struct NonNeg {
  operator Constraint() const;
};

/// Norms, along `axis`, of 1: w / (1e-7 + |w|).
struct UnitNorm {
  Axes axis = 0;

  operator Constraint() const;
};

/// Norms, along `axis`, that go the share `rate` of the way into [min_value, max_value]:
/// w * (rate * clip(|w|) + (1 - rate) * |w|) / (1e-7 + |w|).
struct MinMaxNorm {
  double min_value = 0.0;
  double max_value = 1.0;
  double rate = 1.0;
  Axes axis = 0;

  operator Constraint() const;
};

}  // namespace constraints
}  // namespace cohort::nn
