#include "cohort/nn/internal/metric_results.h"

#include <cstring>
#include <numeric>

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/runtime/runtime.h"

namespace cohort::nn::internal {
namespace {

constexpr const char* kHost = "cpu:0";

/// A result as [K] of f64.
Value flat(const MetricImpl& metric, Value result) {
  if (result.rank() > 1 || !result.shape().is_concrete())
    throw InvalidArgument("{}: got a result {}; want a number or [K]", metric.name(),
                          result.shape());
  return ops::reshape(ops::cast(result, DType::kF64), {result.shape().num_elements()});
}

}  // namespace

MetricResults::MetricResults(std::vector<MetricImpl*> metrics) : metrics_(std::move(metrics)) {
  Signature signature;
  for (const MetricImpl* metric : metrics_) {
    for (const Variable& state : metric->variables()) {
      variables_.push_back(state);
      signature.push_back({state.dtype(), state.shape()});
      inputs_.emplace_back(state.dtype(), state.shape());
    }
  }
  const DeviceScope on_host(kHost);
  const StageScope forward(Stage::kForward);
  trace_ = trace([this](std::span<const Value> states) { return record(states); }, signature,
                 "metric_results");
  values_.resize(static_cast<size_t>(count()));
}

std::vector<Value> MetricResults::record(std::span<const Value> states) {
  std::vector<Value> all;
  for (const MetricImpl* metric : metrics_) {
    const auto mine = states.subspan(0, metric->variables().size());
    states = states.subspan(mine.size());
    all.push_back(flat(*metric, metric->result(mine)));
    counts_.push_back(all.back().shape().size(0));
  }
  return {ops::concat(all, 0)};
}

int64_t MetricResults::count() const {
  return std::accumulate(counts_.begin(), counts_.end(), int64_t{0});
}

std::vector<double> MetricResults::now() {
  std::vector<double> copy;
  read(nullptr, [&](std::span<const double> values) { copy.assign(values.begin(), values.end()); });
  return copy;
}

std::vector<Tensor> MetricResults::states() const {
  std::vector<Tensor> copies;
  for (const Variable& state : variables_) copies.push_back(state.value());
  return copies;
}

void MetricResults::set_states(const std::vector<Tensor>& states) const {
  for (size_t i = 0; i < variables_.size(); ++i)
    variables_[i].assign(states.empty() ? Tensor(variables_[i].dtype(), variables_[i].shape())
                                        : states[i]);
}

void MetricResults::copy_states() {
  for (size_t i = 0; i < variables_.size(); ++i) variables_[i].impl().copy_value(inputs_[i].raw());
}

void MetricResults::copy(const std::vector<Tensor>& states) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (states.empty())
      std::memset(inputs_[i].raw(), 0, inputs_[i].num_bytes());
    else
      std::memcpy(inputs_[i].raw(), states[i].raw(), inputs_[i].num_bytes());
  }
}

void MetricResults::compute() {
  Runtime& runtime = default_runtime();
  if (!device_) device_ = &runtime.device(kHost);
  const DeviceTurn turn({&device_, 1});
  device_->bind_thread();
  if (!executable_) {
    program_ = std::make_unique<Program>(runtime, trace_, ProgramOptions{.device = device_});
    executable_ = &program_->whole({});
    for (size_t i = 0; i < inputs_.size(); ++i)
      executable_->set_input(static_cast<int>(i), inputs_[i].raw());
  }
  executable_->run();
  executable_->copy_output(0, values_.data());
}

}  // namespace cohort::nn::internal
