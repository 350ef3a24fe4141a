#include "cohort/nn/internal/threshold_counts.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/nn/internal/labels.h"

namespace cohort::nn::internal {
namespace {

/// Which k scores of a row are the largest; of equal ones the first.
Value largest(Value scores, int64_t k) {
  const Dim& classes = scores.shape()[scores.rank() - 1];
  if (classes.is_symbol() || k < 1 || k > classes.number())
    throw InvalidArgument("got top_k {} for predictions {}; want 1 to the number of classes", k,
                          scores.shape());
  const Value none = ops::scalar(-std::numeric_limits<double>::infinity(), scores.dtype());
  Value left = scores, found;
  for (int64_t i = 0; i < k; ++i) {
    const Value next =
        ops::cast(ops::one_hot(ops::argmax(left, -1), classes.number()), DType::kBool);
    found = found.defined() ? ops::logical_or(found, next) : next;
    left = ops::where(next, none, left);
  }
  return found;
}

Value of_class(Value x, int64_t id) { return ops::slice_axis(x, -1, id, id + 1); }

/// x[i] + x[i + 1] + … along axis 0.
Value sums_to_the_end(Value x) {
  const int64_t size = x.shape().size(0);
  const auto rank = static_cast<size_t>(x.rank());
  for (int64_t distance = 1; distance < size; distance *= 2) {
    std::vector<int64_t> before(rank), after(rank);
    after[0] = distance;
    x = x + ops::pad(ops::slice_axis(x, 0, distance, size), before, after);
  }
  return x;
}

Value thresholds_as(const std::vector<double>& values, DType dtype, int rank) {
  Shape shape(std::vector<Dim>(static_cast<size_t>(rank) + 1, Dim(1)));
  shape[0] = static_cast<int64_t>(values.size());
  return ops::constant(Tensor::from(values, shape).cast(dtype));
}

}  // namespace

Decisions Decisions::flat() const {
  return {in_a_row(labels), in_a_row(scores), weights.defined() ? in_a_row(weights) : Value()};
}

Decisions make_decisions(const MetricArgs& args, const DecisionOptions& options) {
  Decisions made;
  std::tie(made.labels, made.scores) = of_equal_shape(args.y_true, args.y_pred);
  if (made.scores.dtype() != DType::kF64) made.scores = ops::cast(made.scores, DType::kF32);
  made.labels = ops::cast(made.labels, DType::kBool);
  if (args.sample_weight.defined())
    made.weights = weights_for(args.sample_weight, made.scores, "predictions");
  if (options.top_k) {
    const Value no_score = ops::scalar(kNoScore, made.scores.dtype());
    made.scores = ops::where(largest(made.scores, *options.top_k), made.scores, no_score);
  }
  if (const auto id = options.class_id) {
    const Dim classes =
        made.scores.rank() < 2 ? Dim(0) : made.scores.shape()[made.scores.rank() - 1];
    if (classes.is_symbol() || *id < 0 || *id >= classes.number())
      throw InvalidArgument(
          "got class_id {} for predictions {}; want 0 to the number of classes - 1", *id,
          made.scores.shape());
    if (made.weights.defined() && made.weights.shape()[made.weights.rank() - 1] == classes)
      made.weights = of_class(made.weights, *id);
    made.labels = of_class(made.labels, *id);
    made.scores = of_class(made.scores, *id);
  }
  if (made.weights.defined()) made.weights = ops::broadcast_to(made.weights, made.scores.shape());
  return made;
}

Value count_selected(Value selected, Value weights, int64_t axis) {
  const Value numbers = weights.defined()
                            ? ops::where(selected, weights, ops::scalar(0, weights.dtype()))
                            : ops::cast(selected, DType::kI32);
  return ops::reduce_sum(numbers, {.axis = {axis}});
}

Thresholds::Thresholds(std::vector<double> thresholds) : values_(std::move(thresholds)) {
  const double last = static_cast<double>(values_.size()) - 1;
  even_ = values_.size() >= 3;
  for (size_t i = 0; i < values_.size(); ++i) {
    const double even = static_cast<double>(i) / last;
    even_ = even_ && std::abs(values_[i] - even) <= kKerasEpsilon + 1e-5 * even;
  }
  all_above_first_ = even_ && (values_.front() < 0 || values_.back() > 1);
}

/// The threshold below which a score lies next above, -1 for none; NaN lies above none.
Value Thresholds::buckets(Value scores) const {
  const Value spread = ops::clip(scores, 0, 1) * static_cast<double>(size() - 1);
  Value bucket = ops::ceil(spread) - 1.0;
  if (all_above_first_) bucket = ops::relu(bucket);
  const Value none = ops::scalar(-1, bucket.dtype());
  return ops::cast(ops::where(ops::equal(scores, scores), bucket, none), DType::kI32);
}

Value Thresholds::count(Value selected, Value scores, Value weights) const {
  if (!even_) {
    const Value above = ops::greater(ops::expand_dims(scores, 0),
                                     thresholds_as(values_, scores.dtype(), scores.rank()));
    if (weights.defined()) weights = ops::expand_dims(weights, 0);
    return count_selected(ops::logical_and(above, ops::expand_dims(selected, 0)), weights, 1);
  }
  const Value numbers = weights.defined()
                            ? ops::where(selected, weights, ops::scalar(0, weights.dtype()))
                            : ops::cast(selected, DType::kI32);
  Value bucket = buckets(scores);
  if (scores.rank() == 1) return ops::slices_to_dense({bucket, numbers, Shape{size()}});
  // Bucket and column in one number.
  const int64_t columns = scores.shape().size(1);
  Tensor column(DType::kI32, Shape{1, columns});
  for (int64_t i = 0; i < columns; ++i) column.data<int32_t>()[i] = static_cast<int32_t>(i);
  const Value none = ops::scalar(-1, DType::kI32);
  const Value place = bucket * static_cast<double>(columns) + ops::constant(column);
  bucket = ops::where(ops::less(bucket, ops::scalar(0, DType::kI32)), none, place);
  const Value sums =
      ops::slices_to_dense({in_a_row(bucket), in_a_row(numbers), Shape{size() * columns}});
  return ops::reshape(sums, {size(), columns});
}

Value Thresholds::above(Value sums) const { return even_ ? sums_to_the_end(sums) : sums; }

std::vector<double> checked_thresholds(const std::string& where, std::vector<double> thresholds,
                                       double otherwise) {
  for (const double threshold : thresholds)
    if (!(threshold >= 0 && threshold <= 1))
      throw InvalidArgument("{}: got threshold {}; want 0 to 1", where, threshold);
  return thresholds.empty() ? std::vector<double>{otherwise} : thresholds;
}

}  // namespace cohort::nn::internal
