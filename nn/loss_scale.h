#pragma once

#include <string>
#include <vector>

#include "cohort/nn/variable.h"

namespace cohort::nn {

/// The dynamic scale of an optimizer's losses (LossScaleOptimizer): gradients of numbers of 16 bits
/// are made of a larger loss, lest they come to 0, and divided by the scale before they are used. A
/// step with a gradient that is not finite is skipped: it commits the scale alone, which it halves;
/// after so many steps that were not, the scale doubles.
class LossScale {
 public:
  /// `name` begins the paths of its variables. InvalidArgument for a scale that is not more than 0
  /// and for no growth steps.
  LossScale(std::string name, double initial_scale, int64_t dynamic_growth_steps);

  const std::string& name() const { return name_; }
  double initial_scale() const { return initial_scale_; }
  int64_t dynamic_growth_steps() const { return dynamic_growth_steps_; }

  // In a traced step.
  Value scaled(Value loss) const;
  /// Divides gradients, summed over the replicas, by the scale, and says when the step commits. The
  /// gradients of `variables`; of slices their values.
  void unscale(std::vector<Value>& gradients, const std::vector<Variable>& variables);

  /// step_counter, since the scale changed or a step was skipped; dynamic_scale.
  std::vector<Variable> variables() const { return {step_counter_, dynamic_scale_}; }
  /// InvalidArgument, naming the variable, when no scale will help: the last step was skipped with
  /// a scale below 2^-24, the least number of float16.
  void check() const;

 private:
  std::string name_;
  double initial_scale_;
  int64_t dynamic_growth_steps_;
  Variable step_counter_, dynamic_scale_;
  Variable not_finite_;  ///< which gradient was not when the last step was skipped; -1: it was not
  std::vector<std::string> paths_;  ///< of the variables
};

}  // namespace cohort::nn
