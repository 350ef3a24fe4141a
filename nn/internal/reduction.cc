#include "cohort/nn/internal/reduction.h"

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/state.h"
#include "cohort/nn/internal/names.h"

namespace cohort::nn::internal {
namespace {

double elements_per_row(Value x) {
  return x.rank() == 0 ? 1 : static_cast<double>(x.shape().slice(1).num_elements());
}

/// Refuses [N, N], which labels [N] and predictions [N, 1] give when broadcast.
void check_rows(Value x, std::string_view what) {
  for (int axis = 1; axis < x.rank(); ++axis)
    if (x.shape()[axis] == batch_dim())
      throw InvalidArgument(
          "got {} {}; want the batch on axis 0 alone (labels and predictions of different ranks "
          "were broadcast against each other)",
          what, x.shape());
}

Value over_replicas(Value x) {
  return ops::cross_replica(x, ops::ReduceOp::kSum, ops::Role::kNormaliser);
}

std::vector<int64_t> axes_from(int begin, int end) {
  std::vector<int64_t> axes;
  for (int axis = begin; axis < end; ++axis) axes.push_back(axis);
  return axes;
}

Value mean_from(Value x, int begin) {
  return begin < x.rank() ? ops::reduce_mean(x, {.axis = axes_from(begin, x.rank())}) : x;
}

}  // namespace

Reduction parse_reduction(std::string_view where, std::string_view name) {
  static constexpr Named<Reduction> kKnown[] = {
      {"sum_over_batch_size", Reduction::kSumOverBatchSize},
      {"sum", Reduction::kSum},
      {"mean", Reduction::kMean},
      {"mean_with_sample_weight", Reduction::kMeanWithSampleWeight},
      {"none", Reduction::kNone},
  };
  return find_named<Reduction>(std::string(where) + ": reduction", name, kKnown);
}

std::pair<Value, Value> squeeze_or_expand_to_same_rank(Value a, Value b) {
  const auto fit = [](Value longer, Value shorter) -> std::pair<Value, Value> {
    if (!(longer.shape()[longer.rank() - 1] == 1)) return {longer, shorter};
    if (shorter.rank() == 1) return {longer, ops::expand_dims(shorter, -1)};
    return {ops::squeeze(longer, -1), shorter};
  };
  if (a.rank() == b.rank() + 1) return fit(a, b);
  if (b.rank() == a.rank() + 1) {
    const auto [longer, shorter] = fit(b, a);
    return {shorter, longer};
  }
  return {a, b};
}

std::pair<Value, Value> match_weights(Value values, Value weights, std::string_view what) {
  const Shape given = weights.shape();
  std::tie(values, weights) = squeeze_or_expand_to_same_rank(values, weights);
  bool fits = weights.rank() <= values.rank();
  for (int axis = 0; fits && axis < weights.rank(); ++axis)
    fits = weights.shape()[axis] == 1 || weights.shape()[axis] == values.shape()[axis];
  if (!fits)
    throw InvalidArgument(
        "got weights {} for {} {}; want equal dimensions or 1, counted from the front", given, what,
        values.shape());
  return {values, weights};
}

Value append_dims(Value weights, int rank) {
  Shape shape = weights.shape();
  while (shape.rank() < rank) shape.push_back(1);
  return ops::reshape(weights, shape);
}

Value merge_mask(Value weights, Value mask, DType dtype) {
  if (weights.defined()) weights = ops::cast(weights, dtype);
  if (!mask.defined()) return weights;
  mask = ops::cast(mask, dtype);
  if (!weights.defined()) return mask;
  std::tie(mask, weights) = match_weights(mask, weights, "a mask");
  return mask * append_dims(weights, mask.rank());
}

Value divide_no_nan(Value a, Value b) {
  const Value none = ops::equal(b, ops::scalar(0, b.dtype()));
  const Value safe = ops::where(none, ops::scalar(1, b.dtype()), b);
  return ops::where(none, ops::scalar(0, a.dtype()), a / safe);
}

// Where the rows are a symbol the strategy knows the global batch; otherwise the replicas count.
Value global_rows(Value rows, DType dtype) {
  const Value one = ops::scalar(1, dtype);
  if (rows.rank() == 0) return over_replicas(one);
  if (rows.shape()[0] == batch_dim())
    return ops::maximum(ops::cast(ops::step_info(ops::StepField::kGlobalRows), dtype), one);
  return ops::maximum(over_replicas(ops::cast(ops::num_rows(rows), dtype)), one);
}

Value reduce_weighted(Value losses, Value sample_weight, Value mask, Reduction reduction) {
  check_rows(losses, "losses");
  if (!is_floating(losses.dtype())) losses = ops::cast(losses, DType::kF32);
  const DType dtype = losses.dtype();
  Value weights = merge_mask(sample_weight, mask, dtype);
  if (weights.defined()) {
    std::tie(losses, weights) = match_weights(losses, weights, "losses");
    losses = losses * append_dims(weights, losses.rank());
  }
  if (reduction == Reduction::kNone) return losses;
  const Value sum = losses.rank() == 0 ? losses : ops::reduce_sum(losses);
  if (reduction == Reduction::kSum) return sum;
  if (reduction == Reduction::kMeanWithSampleWeight && weights.defined())
    return divide_no_nan(sum, over_replicas(ops::reduce_sum(weights)));
  const double per_row = elements_per_row(losses);
  if (mask.defined()) {  // an element of the mask may stand for several losses
    const double elements = per_row / elements_per_row(mask);
    const Value valid = over_replicas(ops::reduce_sum(ops::cast(mask, dtype)));
    return divide_no_nan(sum, elements == 1 ? valid : valid * elements);
  }
  const Value divisor = global_rows(losses, dtype);
  return sum / (per_row == 1 ? divisor : divisor * per_row);
}

WeightedSum samplewise_sum(Value values, Value sample_weight) {
  check_rows(values, "values");
  const bool wide = values.dtype() == DType::kF64 || is_integer(values.dtype());
  values = ops::cast(values, wide ? DType::kF64 : DType::kF32);
  if (!sample_weight.defined()) {
    if (values.rank() == 0) return {values, ops::scalar(1, values.dtype())};
    values = mean_from(values, 1);
    return {ops::reduce_sum(values), ops::num_rows(values)};
  }
  Value weight = ops::cast(sample_weight, values.dtype());
  std::tie(values, weight) = match_weights(values, weight, "values");
  values = mean_from(values, weight.rank());
  weight = ops::broadcast_to(weight, values.shape());
  values = mean_from(values * weight, 1);
  weight = mean_from(weight, 1);
  return {ops::reduce_sum(values), ops::reduce_sum(weight)};
}

}  // namespace cohort::nn::internal
