#include "cohort/nn/metrics.h"

#include <mutex>

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/nn/internal/names.h"

namespace cohort::nn {
namespace {

/// The weighted mean of a value of every example: states total and count.
class MeanImpl : public MetricImpl {
 public:
  explicit MeanImpl(std::string name) : MetricImpl(std::move(name), 2) {}
  virtual Value values(Value, Value y_pred) const { return y_pred; }

  std::vector<Value> contributions(const MetricArgs& args) const override {
    const internal::WeightedSum sum =
        internal::samplewise_sum(values(args.y_true, args.y_pred), args.sample_weight);
    return {sum.total, sum.count};
  }
  double result(std::span<const double> states) const override {
    return states[1] == 0 ? 0 : states[0] / states[1];
  }
};

class SumImpl : public MetricImpl {
 public:
  explicit SumImpl(std::string name) : MetricImpl(std::move(name), 1) {}
  std::vector<Value> contributions(const MetricArgs& args) const override {
    return {internal::samplewise_sum(args.y_pred, args.sample_weight).total};
  }
  double result(std::span<const double> states) const override { return states[0]; }
};

void refuse(const std::string& name, Value y_true, Value y_pred) {
  throw InvalidArgument("{}: got labels {} for predictions {}; want them to match from the front",
                        name, y_true.shape(), y_pred.shape());
}

/// Of equal rank: what broadcasts from the back would compare every row with every other.
std::pair<Value, Value> of_equal_rank(const std::string& name, Value y_true, Value y_pred) {
  const auto same = internal::squeeze_or_expand_to_same_rank(y_true, y_pred);
  if (same.first.rank() != same.second.rank()) refuse(name, y_true, y_pred);
  return same;
}

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

class AccuracyImpl : public MeanImpl {
 public:
  using MeanImpl::MeanImpl;
  Value values(Value y_true, Value y_pred) const override {
    const auto [labels, predictions] = of_equal_rank(name(), y_true, y_pred);
    return matches(labels, predictions);
  }
};

class BinaryAccuracyImpl : public MeanImpl {
 public:
  BinaryAccuracyImpl(std::string name, double threshold)
      : MeanImpl(std::move(name)), threshold_(threshold) {
    if (!(threshold > 0 && threshold < 1))
      throw InvalidArgument("{}: got threshold {}; want more than 0 and less than 1", this->name(),
                            threshold);
  }
  Value values(Value y_true, Value y_pred) const override {
    auto [labels, predictions] = of_equal_rank(name(), y_true, y_pred);
    if (!is_floating(predictions.dtype())) predictions = ops::cast(predictions, DType::kF32);
    const Value positive = ops::greater(predictions, ops::scalar(threshold_, predictions.dtype()));
    return matches(ops::cast(labels, DType::kF32), ops::cast(positive, DType::kF32));
  }

 private:
  double threshold_;
};

class CategoricalAccuracyImpl : public MeanImpl {
 public:
  using MeanImpl::MeanImpl;
  Value values(Value y_true, Value y_pred) const override {
    const Value labels = ops::argmax(y_true, -1), predictions = ops::argmax(y_pred, -1);
    if (labels.shape() != predictions.shape()) refuse(name(), y_true, y_pred);
    return matches(labels, predictions);
  }
};

class SparseCategoricalAccuracyImpl : public MeanImpl {
 public:
  using MeanImpl::MeanImpl;
  Value values(Value y_true, Value y_pred) const override {
    if (y_true.rank() == y_pred.rank() && y_true.shape()[y_true.rank() - 1] == 1)
      y_true = ops::squeeze(y_true, -1);
    const Value predictions = ops::argmax(y_pred, -1);
    if (y_true.shape() != predictions.shape()) refuse(name(), y_true, y_pred);
    return matches(y_true, predictions);
  }
};

class MeanOfLossImpl : public MeanImpl {
 public:
  MeanOfLossImpl(Loss loss, std::string name)
      : MeanImpl(name.empty() ? loss.name() : std::move(name)), loss_(std::move(loss)) {}
  /// Elements that the loss leaves out count in neither sum.
  std::vector<Value> contributions(const MetricArgs& args) const override {
    const Value y_pred =
        is_floating(args.y_pred.dtype()) ? args.y_pred : ops::cast(args.y_pred, DType::kF32);
    const Value weights = internal::merge_mask(args.sample_weight,
                                               loss_.impl().mask(args.y_true, y_pred), DType::kF32);
    const internal::WeightedSum sum =
        internal::samplewise_sum(loss_.impl().call(args.y_true, y_pred), weights);
    return {sum.total, sum.count};
  }

 private:
  Loss loss_;
};

void check_rank(const std::string& name, const Shape& y_true, const Shape& y_pred) {
  if (y_true.rank() == 0 || y_pred.rank() == 0)
    throw InvalidArgument("{}: got labels {} and predictions {}; want [N, …]", name, y_true,
                          y_pred);
}

}  // namespace

MetricImpl::~MetricImpl() = default;

MetricImpl::MetricImpl(std::string name, int num_states) : name_(std::move(name)) {
  for (int i = 0; i < num_states; ++i)
    states_.emplace_back(Tensor(DType::kF32, Shape{}), name_ + "/state" + std::to_string(i), false);
}

void Metric::update_state(Value y_true, Value y_pred, Value sample_weight) const {
  const std::vector<Value> sums =
      ops::cross_replica(impl().contributions({y_true, y_pred, sample_weight}), ops::ReduceOp::kSum,
                         ops::Role::kMetric);
  for (size_t i = 0; i < sums.size(); ++i) ops::assign_add(impl().states_[i].shared(), sums[i]);
}

void Metric::update_state(const Tensor& y_true, const Tensor& y_pred,
                          const Tensor& sample_weight) const {
  const std::vector<bool> there{y_true.defined(), sample_weight.defined()};
  auto& updates = impl().updates_;
  std::unique_lock lock(default_runtime().tracing());
  auto it = updates.find(there);
  if (it == updates.end()) {
    // The body holds no handle: the metric owns the function.
    MetricImpl* self = &impl();
    auto body = [self, there](std::span<const Value> in) -> std::vector<Value> {
      size_t next = 0;
      const Value y_true = there[0] ? in[next++] : Value();
      const Value y_pred = in[next++];
      const Value weight = there[1] ? in[next] : Value();
      const std::vector<Value> sums = self->contributions({y_true, y_pred, weight});
      for (size_t i = 0; i < sums.size(); ++i) ops::assign_add(self->states_[i].shared(), sums[i]);
      return {};
    };
    it = updates.emplace(there, Function(std::move(body), name() + "_update")).first;
  }
  lock.unlock();
  std::vector<Tensor> arguments;
  for (const Tensor& tensor : {y_true, y_pred, sample_weight})
    if (tensor.defined()) arguments.push_back(tensor);
  it->second(std::span<const Tensor>(arguments));
}

double Metric::result() const {
  std::vector<double> states;
  for (const Variable& state : variables()) states.push_back(state.value().item<double>());
  return impl().result(states);
}

void Metric::reset_state() const {
  for (const Variable& state : variables()) state.assign(Tensor(DType::kF32, Shape{}));
}

namespace metrics {

Accuracy::Accuracy(MetricOptions options)
    : Metric(std::make_shared<AccuracyImpl>(std::move(options.name))) {}
BinaryAccuracy::BinaryAccuracy(BinaryAccuracyOptions options)
    : Metric(std::make_shared<BinaryAccuracyImpl>(std::move(options.name), options.threshold)) {}
CategoricalAccuracy::CategoricalAccuracy(MetricOptions options)
    : Metric(std::make_shared<CategoricalAccuracyImpl>(std::move(options.name))) {}
SparseCategoricalAccuracy::SparseCategoricalAccuracy(MetricOptions options)
    : Metric(std::make_shared<SparseCategoricalAccuracyImpl>(std::move(options.name))) {}
Mean::Mean(MeanOptions options) : Metric(std::make_shared<MeanImpl>(std::move(options.name))) {}
Sum::Sum(SumOptions options) : Metric(std::make_shared<SumImpl>(std::move(options.name))) {}
MeanOfLoss::MeanOfLoss(Loss loss, std::string name)
    : Metric(std::make_shared<MeanOfLossImpl>(std::move(loss), std::move(name))) {}

}  // namespace metrics

Metric make_metric(const std::string& name, const Shape& y_true, const Shape& y_pred) {
  check_rank(name, y_true, y_pred);
  if (const std::string lower = internal::lower_case(name); lower == "accuracy" || lower == "acc") {
    const Dim last_true = y_true[y_true.rank() - 1], last_pred = y_pred[y_pred.rank() - 1];
    if (last_pred == 1) return BinaryAccuracy({.name = name});
    if (y_true.rank() < y_pred.rank() || last_true == 1)
      return SparseCategoricalAccuracy({.name = name});
    return CategoricalAccuracy({.name = name});
  }
  const internal::Named<Metric> known[] = {
      {"accuracy", {}},
      {"acc", {}},
      {"binary_accuracy", BinaryAccuracy({.name = name})},
      {"categorical_accuracy", CategoricalAccuracy({.name = name})},
      {"sparse_categorical_accuracy", SparseCategoricalAccuracy({.name = name})},
      {"mean_squared_error", metrics::MeanOfLoss("mse", name)},
      {"mse", metrics::MeanOfLoss("mse", name)},
      {"bce", metrics::MeanOfLoss("bce", name)},
      {"binary_crossentropy", metrics::MeanOfLoss("bce", name)},
      {"categorical_crossentropy", metrics::MeanOfLoss("categorical_crossentropy", name)},
      {"sparse_categorical_crossentropy",
       metrics::MeanOfLoss("sparse_categorical_crossentropy", name)},
  };
  return internal::find_named_class<Metric>("metric", name, known);
}

}  // namespace cohort::nn
