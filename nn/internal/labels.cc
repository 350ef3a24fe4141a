#include "cohort/nn/internal/labels.h"

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/symbol.h"
#include "cohort/nn/internal/reduction.h"

namespace cohort::nn::internal {

void refuse_labels(Value y_true, Value y_pred) {
  throw InvalidArgument("got labels {} for predictions {}; want them to match from the front",
                        y_true.shape(), y_pred.shape());
}

std::pair<Value, Value> of_equal_rank(Value y_true, Value y_pred) {
  const auto same = squeeze_or_expand_to_same_rank(y_true, y_pred);
  if (same.first.rank() != same.second.rank()) refuse_labels(y_true, y_pred);
  return same;
}

std::pair<Value, Value> of_equal_shape(Value y_true, Value y_pred) {
  const auto same = of_equal_rank(y_true, y_pred);
  if (same.first.shape() != same.second.shape()) refuse_labels(y_true, y_pred);
  return same;
}

Value class_labels(Value y_true, Value y_pred) {
  if (y_pred.rank() < 1) refuse_labels(y_true, y_pred);
  if (y_true.rank() == y_pred.rank() && y_true.shape()[y_true.rank() - 1] == 1)
    y_true = ops::squeeze(y_true, -1);
  if (y_true.shape() != y_pred.shape().slice(0, y_pred.rank() - 1)) refuse_labels(y_true, y_pred);
  return y_true;
}

Value weights_for(Value weights, Value x, std::string_view what) {
  if (weights.rank() == x.rank() + 1 && weights.shape()[weights.rank() - 1] == 1)
    weights = ops::squeeze(weights, -1);
  weights = match_weights(x, weights, what).second;
  return append_dims(ops::cast(weights, DType::kF32), x.rank());
}

Value in_a_row(Value x) { return ops::reshape(x, Shape{num_elements(x.shape())}); }

Value floating(Value x) { return is_floating(x.dtype()) ? x : ops::cast(x, DType::kF32); }

}  // namespace cohort::nn::internal
