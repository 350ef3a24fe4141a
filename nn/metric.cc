#include "cohort/nn/metric.h"

#include <algorithm>
#include <mutex>

#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/nn/internal/masks.h"
#include "cohort/nn/internal/metric_results.h"

namespace cohort::nn {
namespace {

void add_to_states(const std::vector<Variable>& states, const std::vector<Value>& sums) {
  for (size_t i = 0; i < sums.size(); ++i) ops::assign_add(states[i].shared(), sums[i]);
}

/// A contribution in the state's dtype.
Value widened(Value part, const Variable& state) {
  if (part.shape() != state.shape())
    throw InvalidArgument("got a contribution {} to state {} {}; want equal shapes", part.shape(),
                          state.name(), state.shape());
  if (is_integer(state.dtype()) && is_floating(part.dtype()))
    throw InvalidArgument("got a contribution of {} to state {} of {}; want integers", part.dtype(),
                          state.name(), state.dtype());
  return ops::cast(part, state.dtype());
}

/// Metrics of 16-bit values are computed in f32.
Value not_narrow(Value x) {
  if (!x.defined() || (x.dtype() != DType::kF16 && x.dtype() != DType::kBF16)) return x;
  return internal::with_mask(ops::cast(x, DType::kF32), internal::mask_of(x));
}

}  // namespace

MetricImpl::MetricImpl(std::string name) : name_(std::move(name)) {}
MetricImpl::~MetricImpl() = default;

void MetricImpl::build(const Shape&, const Shape&) {}

std::vector<std::string> MetricImpl::result_names(int64_t count) const {
  if (count == 1) return {name_};
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i) names.push_back(name_ + "_" + std::to_string(i));
  return names;
}

Variable MetricImpl::add_state(const std::string& name, const Shape& shape, DType dtype) {
  if (dtype == DType::kBool)
    throw InvalidArgument("{}: got state {} of {}; want an integer or floating dtype", name_, name,
                          dtype);
  if (!shape.is_concrete())
    throw InvalidArgument("{}: got state {} {}; want numbers in every dimension", name_, name,
                          shape);
  const auto has_name = [&](const Variable& state) { return state.name() == name; };
  if (std::any_of(states_.begin(), states_.end(), has_name))
    throw InvalidArgument("{}: got state {} twice; want a name for each", name_, name);
  return states_.emplace_back(Tensor(dtype, shape), name_ + "/" + name, false);
}

void MetricImpl::build_once(const MetricArgs& args) {
  const size_t made_before = states_.size();
  build(args.y_true.defined() ? args.y_true.shape() : Shape(), args.y_pred.shape());
  if (made_before > 0 && states_.size() > made_before)
    throw InvalidArgument("got states added in the constructor and in build(); want one of them");
  built_ = true;
}

std::vector<Value> MetricImpl::apply(const MetricArgs& given) {
  try {
    const MetricArgs args{not_narrow(given.y_true), not_narrow(given.y_pred),
                          not_narrow(given.sample_weight)};
    if (!built_) build_once(args);
    std::vector<Value> parts = contributions(args);
    if (parts.size() != states_.size())
      throw InvalidArgument("got {} contributions to {} states; want one for each", parts.size(),
                            states_.size());
    for (size_t i = 0; i < parts.size(); ++i) parts[i] = widened(parts[i], states_[i]);
    return parts;
  } catch (const Error& error) {
    throw error.within(name_);
  }
}

void Metric::update_state(Value y_true, Value y_pred, Value sample_weight) const {
  const std::vector<Value> parts = impl().apply({y_true, y_pred, sample_weight});
  if (parts.empty()) return;
  add_to_states(variables(), ops::cross_replica(parts, ops::ReduceOp::kSum, ops::Role::kMetric));
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
      const std::vector<Value> parts = self->apply({y_true, y_pred, weight});
      add_to_states(self->variables(), parts);
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

std::vector<double> Metric::results() const {
  if (variables().empty())
    throw FailedPrecondition("{}: got result() before an update; want one, which makes the states",
                             name());
  std::unique_lock lock(default_runtime().tracing());
  auto& results = impl().results_;
  if (!results)
    results = std::make_unique<internal::MetricResults>(std::vector<MetricImpl*>{&impl()});
  lock.unlock();
  return results->now();
}

double Metric::result() const {
  const std::vector<double> values = results();
  if (values.size() != 1)
    throw InvalidArgument("{}: got {} values; want one: use results() for several", name(),
                          values.size());
  return values.front();
}

void Metric::reset_state() const {
  for (const Variable& state : variables()) state.assign(Tensor(state.dtype(), state.shape()));
}

}  // namespace cohort::nn
