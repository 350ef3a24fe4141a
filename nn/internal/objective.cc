#include "nn/internal/objective.h"

#include <algorithm>

#include "core/ops/constant.h"
#include "core/ops/math.h"
#include "core/ops/state.h"
#include "nn/internal/reduction.h"

namespace cohort::nn {

std::vector<MetricSpecs::List> MetricSpecs::resolve(const std::vector<std::string>& outputs,
                                                    std::string_view where) const {
  std::vector<List> found(outputs.size());
  for (const auto& [name, list] : named_) {
    const auto it = std::find(outputs.begin(), outputs.end(), name);
    if (it == outputs.end())
      throw InvalidArgument("{}: got metrics for \"{}\"; want names of outputs", where, name);
    found[static_cast<size_t>(it - outputs.begin())] = list;
  }
  if (list_.empty()) return found;
  if (outputs.size() == 1) {
    found[0] = list_;
  } else if (list_.size() == outputs.size()) {
    for (size_t i = 0; i < outputs.size(); ++i) found[i] = {list_[i]};
  } else {
    throw InvalidArgument("{}: got {} metrics for {} outputs; want one for each, or lists by name",
                          where, list_.size(), outputs.size());
  }
  return found;
}

}  // namespace cohort::nn

namespace cohort::nn::internal {
namespace {

/// A state's number, without making a tensor.
double read_state(const VariableState& state) {
  float number = 0;
  state.copy_value(&number);
  return number;
}

double read_metric(const Metric& metric) {
  constexpr size_t kMostStates = 8;
  double states[kMostStates];
  const size_t count = metric.variables().size();
  COHORT_CHECK(count <= kMostStates);
  for (size_t i = 0; i < count; ++i) states[i] = read_state(metric.variables()[i].impl());
  return metric.impl().result({states, count});
}

}  // namespace

std::string Objective::free_name(const std::string& wanted, bool weighted) const {
  const auto taken = [&](const std::string& name) {
    return name == "loss" || std::any_of(metrics_.begin(), metrics_.end(),
                                         [&](const Tracked& m) { return m.log_name == name; });
  };
  if (!taken(wanted)) return wanted;
  const std::string base = weighted ? "weighted_" + wanted : wanted;
  if (weighted && !taken(base)) return base;
  int number = 1;
  while (taken(base + "_" + std::to_string(number))) ++number;
  return base + "_" + std::to_string(number);
}

void Objective::add_metrics(const MetricSpecs& specs, bool weighted, std::string_view where,
                            const std::vector<std::string>& outputs,
                            const std::vector<Value>& y_true, const std::vector<Value>& y_pred) {
  const std::vector<MetricSpecs::List> lists = specs.resolve(outputs, where);
  for (size_t i = 0; i < lists.size(); ++i) {
    for (const MetricSpec& spec : lists[i]) {
      const Metric metric = spec.make(y_true[i].shape(), y_pred[i].shape());
      if (std::any_of(metrics_.begin(), metrics_.end(),
                      [&](const Tracked& other) { return other.metric == metric; }))
        throw InvalidArgument("{}: got metric {} twice; want one object for each use", where,
                              metric.name());
      const std::string name =
          outputs.size() > 1 ? outputs[i] + "_" + metric.name() : metric.name();
      metrics_.push_back({free_name(name, weighted), metric, i, weighted});
    }
  }
}

void Objective::resolve(const std::vector<std::string>& outputs, const std::vector<Value>& y_true,
                        const std::vector<Value>& y_pred) {
  if (resolved_) return;
  if (options_.loss.empty()) throw FailedPrecondition("compile: got no loss; want one");
  losses_ = options_.loss.resolve(outputs, "compile: loss");
  loss_weights_ = options_.loss_weights.empty()
                      ? std::vector<double>(outputs.size(), 1.0)
                      : options_.loss_weights.resolve(outputs, "compile: loss_weights");
  for (const Loss& loss : losses_)
    if (loss.impl().reduction() == Reduction::kNone)
      throw InvalidArgument("{}: got reduction \"none\"; want one that gives a number",
                            loss.name());
  add_metrics(options_.metrics, false, "compile: metrics", outputs, y_true, y_pred);
  add_metrics(options_.weighted_metrics, true, "compile: weighted_metrics", outputs, y_true,
              y_pred);
  total_ = Mean({.name = "loss"});
  logs_.emplace_back("loss", total_);
  for (size_t i = 0; outputs.size() > 1 && i < outputs.size(); ++i) {
    output_losses_.push_back(Mean({.name = outputs[i] + "_loss"}));
    logs_.emplace_back(outputs[i] + "_loss", output_losses_.back());
  }
  for (const Tracked& tracked : metrics_) logs_.emplace_back(tracked.log_name, tracked.metric);
  std::sort(logs_.begin(), logs_.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  resolved_ = true;
}

// The epoch's losses are means over batches, weighted by their rows: those of the outputs and the
// penalties add up to the total.
void Objective::track(const Metric& mean, Value loss, Value rows, Terms& terms) const {
  terms.contributions.push_back(ops::cast(loss, DType::kF32) * rows);
  terms.states.push_back(mean.variables()[0]);
  ops::assign_add(mean.variables()[1].shared(), rows);
}

Objective::Terms Objective::record(const std::vector<std::string>& outputs,
                                   const std::vector<Value>& y_true,
                                   const std::vector<Value>& y_pred,
                                   const std::vector<Value>& weights,
                                   const std::vector<Value>& penalties) {
  resolve(outputs, y_true, y_pred);
  const auto weight_of = [&](size_t i) {
    return weights.empty() ? Value() : weights.size() == 1 ? weights[0] : weights[i];
  };
  Terms terms;
  const Value rows = global_rows(y_pred[0], DType::kF32);
  for (size_t i = 0; i < y_pred.size(); ++i) {
    Value loss = losses_[i](y_true[i], y_pred[i], weight_of(i));
    if (!output_losses_.empty()) track(output_losses_[i], loss, rows, terms);
    if (loss_weights_[i] != 1) loss = loss * loss_weights_[i];
    if (terms.total.defined()) loss = terms.total + ops::cast(loss, terms.total.dtype());
    terms.total = loss;
  }
  for (const Value& penalty : penalties)
    terms.total = terms.total + ops::cast(penalty, terms.total.dtype());
  track(total_, terms.total, rows, terms);
  for (const Tracked& tracked : metrics_) {
    const size_t i = tracked.output;
    const Value weight = tracked.weighted ? weight_of(i) : Value();
    const auto parts = tracked.metric.impl().contributions({y_true[i], y_pred[i], weight});
    for (size_t k = 0; k < parts.size(); ++k) {
      terms.contributions.push_back(parts[k]);
      terms.states.push_back(tracked.metric.variables()[k]);
    }
  }
  return terms;
}

void Objective::reset() {
  for (const auto& [name, metric] : logs_) metric.reset_state();
}

void Objective::read(std::vector<std::pair<std::string, double>>& entries) const {
  if (entries.size() != logs_.size()) {
    entries.clear();
    for (const auto& [name, metric] : logs_) entries.emplace_back(name, 0);
  }
  for (size_t i = 0; i < logs_.size(); ++i) entries[i].second = read_metric(logs_[i].second);
}

}  // namespace cohort::nn::internal
