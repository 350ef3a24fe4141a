#include "cohort/nn/metrics/accuracy.h"

#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/nn/internal/labels.h"

namespace cohort::nn {
namespace {

/// Where a equals b, as 1 and 0. Integers beside floats are compared as floats.
Value matches(Value a, Value b) {
  if (a.dtype() != b.dtype()) {
    const bool integers = !is_floating(a.dtype()) && !is_floating(b.dtype());
    const DType dtype = is_floating(b.dtype()) ? b.dtype() : integers ? DType::kI64 : a.dtype();
    a = ops::cast(a, dtype);
    b = ops::cast(b, dtype);
  }
  return ops::cast(ops::equal(a, b), DType::kF32);
}

class AccuracyImpl final : public MeanMetricImpl {
 public:
  using MeanMetricImpl::MeanMetricImpl;
  Value values(Value y_true, Value y_pred) const override {
    const auto [labels, predictions] = internal::of_equal_rank(y_true, y_pred);
    return matches(labels, predictions);
  }
};

class BinaryAccuracyImpl final : public MeanMetricImpl {
 public:
  BinaryAccuracyImpl(std::string name, double threshold)
      : MeanMetricImpl(std::move(name)), threshold_(threshold) {
    if (!(threshold > 0 && threshold < 1))
      throw InvalidArgument("{}: got threshold {}; want more than 0 and less than 1", this->name(),
                            threshold);
  }
  Value values(Value y_true, Value y_pred) const override {
    auto [labels, predictions] = internal::of_equal_rank(y_true, y_pred);
    predictions = internal::floating(predictions);
    const Value positive = ops::greater(predictions, ops::scalar(threshold_, predictions.dtype()));
    return matches(ops::cast(labels, DType::kF32), ops::cast(positive, DType::kF32));
  }

 private:
  double threshold_;
};

class CategoricalAccuracyImpl final : public MeanMetricImpl {
 public:
  using MeanMetricImpl::MeanMetricImpl;
  Value values(Value y_true, Value y_pred) const override {
    const Value labels = ops::argmax(y_true, -1), predictions = ops::argmax(y_pred, -1);
    if (labels.shape() != predictions.shape()) internal::refuse_labels(y_true, y_pred);
    return matches(labels, predictions);
  }
};

class SparseCategoricalAccuracyImpl final : public MeanMetricImpl {
 public:
  using MeanMetricImpl::MeanMetricImpl;
  Value values(Value y_true, Value y_pred) const override {
    return matches(internal::class_labels(y_true, y_pred), ops::argmax(y_pred, -1));
  }
};

}  // namespace

namespace metrics {

Accuracy::operator Metric() const { return remember(make<AccuracyImpl>(name), *this); }
BinaryAccuracy::operator Metric() const {
  return remember(make<BinaryAccuracyImpl>(name, threshold), *this);
}
CategoricalAccuracy::operator Metric() const {
  return remember(make<CategoricalAccuracyImpl>(name), *this);
}
SparseCategoricalAccuracy::operator Metric() const {
  return remember(make<SparseCategoricalAccuracyImpl>(name), *this);
}

}  // namespace metrics
}  // namespace cohort::nn
