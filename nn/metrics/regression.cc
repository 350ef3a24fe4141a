#include "cohort/nn/metrics/regression.h"

#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/nn/internal/labels.h"

namespace cohort::nn {
namespace {

/// y_true - y_pred, in the predictions' dtype.
Value error_of(Value y_true, Value y_pred) {
  const auto [labels, predictions] = internal::of_equal_rank(y_true, internal::floating(y_pred));
  return ops::cast(labels, predictions.dtype()) - predictions;
}

/// As Keras has it: of an example whose elements are averaged first. [N] counts as a column.
class MeanAbsoluteErrorImpl final : public MeanMetricImpl {
 public:
  using MeanMetricImpl::MeanMetricImpl;
  Value values(Value y_true, Value y_pred) const override {
    const Value error = ops::abs(error_of(y_true, y_pred));
    return error.rank() > 1 ? ops::reduce_mean(error, {.axis = {-1}}) : error;
  }
};

/// Of every element: weights may be as well.
class RootMeanSquaredErrorImpl final : public MeanMetricImpl {
 public:
  using MeanMetricImpl::MeanMetricImpl;
  Value values(Value y_true, Value y_pred) const override {
    return ops::square(error_of(y_true, y_pred));
  }
  Value result(std::span<const Value> states) const override {
    return ops::sqrt(MeanMetricImpl::result(states));
  }
};

}  // namespace

namespace metrics {

MeanAbsoluteError::operator Metric() const {
  return remember(make<MeanAbsoluteErrorImpl>(name), *this);
}
MeanSquaredError::operator Metric() const {
  return remember(Metric(MeanOfLoss{.loss = "mse", .name = name}), *this);
}
RootMeanSquaredError::operator Metric() const {
  return remember(make<RootMeanSquaredErrorImpl>(name), *this);
}

}  // namespace metrics
}  // namespace cohort::nn
