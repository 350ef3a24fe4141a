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

Projection projection_by_name(std::string_view name) {
  const internal::Named<Projection> known[] = {{"max_norm", max_norm({})},
                                               {"non_neg", non_neg()},
                                               {"unit_norm", unit_norm({})},
                                               {"min_max_norm", min_max_norm({})}};
  return internal::find_named_class<Projection>("constraint", name, known);
}

}  // namespace

Constraint::Constraint(const char* name) : projection_(projection_by_name(name)) {}

namespace constraints {

MaxNorm::operator Constraint() const { return max_norm(*this); }
NonNeg::operator Constraint() const { return non_neg(); }
UnitNorm::operator Constraint() const { return unit_norm(*this); }
MinMaxNorm::operator Constraint() const { return min_max_norm(*this); }

}  // namespace constraints
}  // namespace cohort::nn
