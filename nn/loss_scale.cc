#include "cohort/nn/loss_scale.h"

#include <cmath>

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/commit_condition.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/state.h"

namespace cohort::nn {
namespace {

const double kLeastScale = std::ldexp(1.0, -24);
const double kLargestScale = std::ldexp(1.0, 126);

Value count(int64_t number) { return ops::constant(Tensor::scalar(number)); }

/// bool [n]: whether all elements of each are finite. A sum of elements times 0 is 0 or NaN; where
/// each device has a part of a gradient, so it is on all of them. The products stand before the
/// first sum, so that the sums of parts travel together.
Value are_finite(const std::vector<Value>& gradients) {
  std::vector<Value> products, sums;
  for (const Value& gradient : gradients) products.push_back(gradient * 0.0);
  for (const Value& product : products)
    sums.push_back(ops::expand_dims(ops::cast(ops::reduce_sum(product), DType::kF32), 0));
  return ops::is_finite(sums.size() == 1 ? sums.front() : ops::concat(sums, 0));
}

/// A scale may be more than a float16 holds.
DType wide(DType dtype) { return dtype == DType::kF64 ? dtype : DType::kF32; }

Value divided(Value gradient, Value scale) {
  const DType dtype = wide(gradient.dtype());
  return ops::cast(ops::cast(gradient, dtype) / ops::cast(scale, dtype), gradient.dtype());
}

}  // namespace

LossScale::LossScale(std::string name, double initial_scale, int64_t dynamic_growth_steps)
    : name_(std::move(name)),
      initial_scale_(initial_scale),
      dynamic_growth_steps_(dynamic_growth_steps),
      step_counter_(Tensor::scalar<int64_t>(0), name_ + "/step_counter", false),
      dynamic_scale_(Tensor::scalar(static_cast<float>(initial_scale)), name_ + "/dynamic_scale",
                     false),
      not_finite_(Tensor::scalar<int64_t>(-1), name_ + "/not_finite", false) {
  if (!(initial_scale > 0 && initial_scale <= kLargestScale))
    throw InvalidArgument("{}: got initial_scale {}; want more than 0, and 2^126 at most", name_,
                          initial_scale);
  if (dynamic_growth_steps < 1)
    throw InvalidArgument("{}: got dynamic_growth_steps {}; want 1 or more", name_,
                          dynamic_growth_steps);
}

Value LossScale::scaled(Value loss) const {
  const DType dtype = wide(loss.dtype());
  return ops::cast(loss, dtype) * ops::cast(dynamic_scale_.read(), dtype);
}

void LossScale::unscale(std::vector<Value>& gradients, const std::vector<Variable>& variables) {
  paths_.clear();
  for (const Variable& variable : variables) paths_.push_back(variable.path());
  const Value finite = are_finite(gradients);
  const Value all = ops::reduce_all(finite);
  const Value scale = dynamic_scale_.read(), counter = step_counter_.read();
  for (Value& gradient : gradients) gradient = divided(gradient, scale);
  const Value grows = ops::logical_and(all, ops::equal(counter, count(dynamic_growth_steps_ - 1)));
  const Value counts = ops::logical_and(all, ops::logical_not(grows));
  const Value larger = ops::minimum(scale * 2.0, ops::scalar(kLargestScale, scale.dtype()));
  ops::assign(step_counter_.shared(), ops::where(counts, counter + count(1), count(0)));
  ops::assign(dynamic_scale_.shared(),
              ops::where(all, ops::where(grows, larger, scale), scale * 0.5));
  const Value first = ops::argmax(ops::cast(ops::logical_not(finite), DType::kF32), 0);
  ops::assign(not_finite_.shared(), ops::where(all, count(-1), ops::cast(first, DType::kI64)));
  ops::commit_if(all, {step_counter_.shared(), dynamic_scale_.shared(), not_finite_.shared()});
}

void LossScale::check() const {
  const auto which = not_finite_.value().item<int64_t>();
  const double scale = dynamic_scale_.value().item<double>();
  if (which < 0 || scale >= kLeastScale) return;
  throw InvalidArgument(
      "{}: got a gradient of {} that is not finite with a loss scale of {}, which was halved for "
      "every such step; want gradients that are finite with some scale: a smaller learning_rate, "
      "clipping, or float32 for the layer",
      name_, paths_.at(static_cast<size_t>(which)), scale);
}

}  // namespace cohort::nn
