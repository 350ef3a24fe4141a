#include "cohort/nn/metrics/mean.h"

#include "cohort/core/ops/math.h"
#include "cohort/nn/internal/masks.h"
#include "cohort/nn/internal/reduction.h"

namespace cohort::nn {
namespace {

/// The weights, 0 where y_pred is masked.
Value masked_weights(const MetricArgs& args) {
  const Value mask = internal::mask_of(args.y_pred);
  return mask.defined() ? internal::merge_mask(args.sample_weight, mask, DType::kF32)
                        : args.sample_weight;
}

std::vector<Value> total_and_count(Value values, Value weights) {
  const internal::WeightedSum sum = internal::samplewise_sum(values, weights);
  return {sum.total, sum.count};
}

class MeanImpl final : public MeanMetricImpl {
 public:
  using MeanMetricImpl::MeanMetricImpl;
  Value values(Value, Value y_pred) const override { return y_pred; }
  /// As in Keras a mask changes given weights alone.
  std::vector<Value> contributions(const MetricArgs& args) const override {
    if (args.sample_weight.defined()) return MeanMetricImpl::contributions(args);
    return total_and_count(args.y_pred, {});
  }
};

class SumImpl final : public MetricImpl {
 public:
  explicit SumImpl(std::string name) : MetricImpl(std::move(name)) { add_state("total"); }
  std::vector<Value> contributions(const MetricArgs& args) const override {
    return {internal::samplewise_sum(args.y_pred, args.sample_weight).total};
  }
  Value result(std::span<const Value> states) const override { return states[0]; }
};

class MeanOfLossImpl final : public MeanMetricImpl {
 public:
  MeanOfLossImpl(Loss loss, std::string name)
      : MeanMetricImpl(name.empty() ? loss.name() : std::move(name)), loss_(std::move(loss)) {}
  Value values(Value y_true, Value y_pred) const override {
    return loss_.impl().call(y_true, y_pred);
  }
  /// Elements that the loss leaves out count in neither sum.
  std::vector<Value> contributions(const MetricArgs& args) const override {
    const Value y_pred =
        is_floating(args.y_pred.dtype()) ? args.y_pred : ops::cast(args.y_pred, DType::kF32);
    const Value weights = internal::merge_mask(masked_weights(args),
                                               loss_.impl().mask(args.y_true, y_pred), DType::kF32);
    return total_and_count(values(args.y_true, y_pred), weights);
  }

 private:
  Loss loss_;
};

}  // namespace

MeanMetricImpl::MeanMetricImpl(std::string name) : MetricImpl(std::move(name)) {
  add_state("total");
  add_state("count");
}

std::vector<Value> MeanMetricImpl::contributions(const MetricArgs& args) const {
  return total_and_count(values(args.y_true, args.y_pred), masked_weights(args));
}

Value MeanMetricImpl::result(std::span<const Value> states) const {
  return internal::divide_no_nan(states[0], states[1]);
}

namespace metrics {

Mean::operator Metric() const { return remember(make<MeanImpl>(name), *this); }
Sum::operator Metric() const { return remember(make<SumImpl>(name), *this); }
MeanOfLoss::operator Metric() const { return remember(make<MeanOfLossImpl>(loss, name), *this); }

}  // namespace metrics
}  // namespace cohort::nn
