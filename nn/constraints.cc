#include "cohort/nn/constraints.h"

#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/nn/internal/names.h"

namespace cohort::nn {
namespace {

using Projection = std::function<Value(Value)>;

constexpr double kEpsilonOfNorms = 1e-7;  // keras.backend.epsilon()

Value norms(Value w, const constraints::Axes& axis) {
  return ops::sqrt(ops::reduce_sum(ops::square(w), {.axis = axis.list, .keepdims = true}));
}

Projection max_norm(const constraints::MaxNorm& options) {
  if (!(options.max_value >= 0))
    throw InvalidArgument("MaxNorm: got max_value {}; want 0 or more", options.max_value);
  return [options](Value w) {
    const Value norm = norms(w, options.axis);
    return w * (ops::clip(norm, 0, options.max_value) / (norm + kEpsilonOfNorms));
  };
}

Projection non_neg() {
  return [](Value w) { return ops::maximum(w, ops::scalar(0, w.dtype())); };
}

Projection unit_norm(const constraints::UnitNorm& options) {
  return [options](Value w) { return w / (norms(w, options.axis) + kEpsilonOfNorms); };
}

Projection min_max_norm(const constraints::MinMaxNorm& options) {
  if (!(options.min_value >= 0 && options.max_value >= options.min_value))
    throw InvalidArgument("MinMaxNorm: got min_value {}, max_value {}; want 0 <= min <= max",
                          options.min_value, options.max_value);
  if (!(options.rate >= 0 && options.rate <= 1))
    throw InvalidArgument("MinMaxNorm: got rate {}; want 0 to 1", options.rate);
  return [options](Value w) {
    const Value norm = norms(w, options.axis);
    const Value desired = ops::clip(norm, options.min_value, options.max_value) * options.rate +
                          norm * (1 - options.rate);
    return w * (desired / (norm + kEpsilonOfNorms));
  };
}

Constraint constraint_by_name(std::string_view name) {
  namespace c = constraints;
  const internal::Named<Constraint> known[] = {{"max_norm", c::MaxNorm()},
                                               {"non_neg", c::NonNeg()},
                                               {"unit_norm", c::UnitNorm()},
                                               {"min_max_norm", c::MinMaxNorm()}};
  return internal::find_named_class<Constraint>("constraint", name, known);
}

}  // namespace

Constraint::Constraint(const char* name) : Constraint(constraint_by_name(name)) {}

namespace constraints {

MaxNorm::operator Constraint() const { return {max_norm(*this), *this}; }
NonNeg::operator Constraint() const { return {non_neg(), *this}; }
UnitNorm::operator Constraint() const { return {unit_norm(*this), *this}; }
MinMaxNorm::operator Constraint() const { return {min_max_norm(*this), *this}; }

}  // namespace constraints
}  // namespace cohort::nn
