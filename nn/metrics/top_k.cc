#include "cohort/nn/metrics/top_k.h"

#include <algorithm>

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/nn/internal/labels.h"

namespace cohort::nn {
namespace {

Value number_of_classes(const Value& y_pred, DType dtype) {
  const Dim& classes = y_pred.shape()[y_pred.rank() - 1];
  if (classes.is_symbol())
    throw InvalidArgument("got predictions {}; want a number of classes", y_pred.shape());
  return ops::scalar(static_cast<double>(classes.number()), dtype);
}

/// Where fewer than k scores are larger than that of the label. labels: class numbers [N, …].
Value in_top_k(Value labels, Value scores, int64_t k) {
  scores = internal::floating(scores);
  labels = ops::cast(labels, DType::kI64);
  const Value classes = number_of_classes(scores, DType::kI64);
  const Value is_class = ops::logical_and(ops::greater_equal(labels, ops::scalar(0, DType::kI64)),
                                          ops::less(labels, classes));
  const Value is_label =
      ops::cast(ops::one_hot(labels, scores.shape().size(scores.rank() - 1)), DType::kBool);
  const Value zero = ops::scalar(0, scores.dtype());
  const Value of_label =
      ops::reduce_sum(ops::where(is_label, scores, zero), {.axis = {-1}, .keepdims = true});
  const Value larger =
      ops::reduce_sum(ops::cast(ops::greater(scores, of_label), DType::kI32), {.axis = {-1}});
  const Value found = ops::less(larger, ops::scalar(static_cast<double>(k), DType::kI32));
  const Value finite = ops::reduce_all(ops::is_finite(scores), {.axis = {-1}});
  return ops::cast(ops::logical_and(ops::logical_and(found, finite), is_class), DType::kF32);
}

/// Where the label is one of the first k class numbers.
Value in_first_k(Value labels, Value ids, int64_t k) {
  const Dim& width = ids.shape()[ids.rank() - 1];
  if (!width.is_symbol()) ids = ops::slice_axis(ids, -1, 0, std::min(k, width.number()));
  const DType dtype = is_floating(ids.dtype()) ? ids.dtype() : DType::kI64;
  const Value equal =
      ops::equal(ops::expand_dims(ops::cast(labels, dtype), -1), ops::cast(ids, dtype));
  return ops::cast(ops::reduce_any(equal, {.axis = {-1}}), DType::kF32);
}

int64_t checked_k(const std::string& name, int64_t k) {
  constexpr int64_t kMost = 1 << 30;
  if (k < 1 || k > kMost) throw InvalidArgument("{}: got k {}; want 1 or more", name, k);
  return k;
}

class TopKImpl final : public MeanMetricImpl {
 public:
  TopKImpl(std::string name, int64_t k) : MeanMetricImpl(std::move(name)), k_(k) {
    checked_k(this->name(), k);
  }
  Value values(Value y_true, Value y_pred) const override {
    if (y_true.rank() < 1 || y_true.shape() != y_pred.shape())
      internal::refuse_labels(y_true, y_pred);
    return in_top_k(ops::argmax(y_true, -1), y_pred, k_);
  }

 private:
  int64_t k_;
};

class SparseTopKImpl final : public MeanMetricImpl {
 public:
  explicit SparseTopKImpl(const metrics::SparseTopKCategoricalAccuracy& options)
      : MeanMetricImpl(options.name),
        k_(checked_k(options.name, options.k)),
        from_sorted_ids_(options.from_sorted_ids) {}
  Value values(Value y_true, Value y_pred) const override {
    const Value labels = internal::class_labels(y_true, y_pred);
    return from_sorted_ids_ ? in_first_k(labels, y_pred, k_) : in_top_k(labels, y_pred, k_);
  }

 private:
  int64_t k_;
  bool from_sorted_ids_;
};

}  // namespace

namespace metrics {

TopKCategoricalAccuracy::operator Metric() const {
  return remember(make<TopKImpl>(name, k), *this);
}
SparseTopKCategoricalAccuracy::operator Metric() const { return make<SparseTopKImpl>(*this); }

}  // namespace metrics
}  // namespace cohort::nn
