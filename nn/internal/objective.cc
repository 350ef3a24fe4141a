#include "cohort/nn/internal/objective.h"

#include <algorithm>

#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/state.h"
#include "cohort/nn/internal/reduction.h"

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

/// Keras' names: "kind_mse", then "kind_mse_1"; of a weighted metric "kind_weighted_mse" first.
std::string Objective::free_name(const std::string& output, const std::string& result,
                                 bool weighted) const {
  const auto taken = [&](const std::string& name) {
    return std::any_of(logs_.begin(), logs_.end(), [&](const auto& l) { return l.first == name; });
  };
  const std::string prefix = output.empty() ? "" : output + "_";
  std::string name = prefix + result;
  if (taken(name) && weighted) name = prefix + "weighted_" + result;
  if (!taken(name)) return name;
  int number = 1;
  while (taken(name + "_" + std::to_string(number))) ++number;
  return name + "_" + std::to_string(number);
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
      metrics_.push_back({metric, i, weighted});
    }
  }
}

void Objective::resolve(const std::vector<std::string>& outputs, const std::vector<Value>& y_true,
                        const std::vector<Value>& y_pred) {
  if (resolved_) return;
  output_losses_.clear();
  metrics_.clear();
  logs_.clear();
  if (options_.loss.empty()) throw FailedPrecondition("compile: got no loss; want one");
  losses_ = options_.loss.resolve(outputs, "compile: loss");
  loss_weights_ = options_.loss_weights.empty()
                      ? std::vector<double>(outputs.size(), 1.0)
                      : options_.loss_weights.resolve(outputs, "compile: loss_weights");
  for (const Loss& loss : losses_)
    if (loss.impl().reduction() == Reduction::kNone)
      throw InvalidArgument("{}: got reduction \"none\"; want one that gives a number",
                            loss.name());
  total_ = Mean{.name = "loss"};
  for (size_t i = 0; outputs.size() > 1 && i < outputs.size(); ++i)
    output_losses_.push_back(Mean{.name = outputs[i] + "_loss"});
  add_metrics(options_.metrics, false, "compile: metrics", outputs, y_true, y_pred);
  add_metrics(options_.weighted_metrics, true, "compile: weighted_metrics", outputs, y_true,
              y_pred);
  resolved_ = true;
}

/// Once all metrics have their states.
void Objective::name_results(const std::vector<std::string>& outputs) {
  if (results_) return;
  std::vector<MetricImpl*> all{&total_.impl()};
  for (const Metric& loss : output_losses_) all.push_back(&loss.impl());
  const size_t losses = all.size();
  for (const Tracked& tracked : metrics_) all.push_back(&tracked.metric.impl());
  auto results = std::make_unique<MetricResults>(all);
  logs_.clear();
  for (size_t m = 0; m < all.size(); ++m) {
    const Tracked* tracked = m < losses ? nullptr : &metrics_[m - losses];
    const bool of_output = tracked && outputs.size() > 1;
    const std::vector<std::string> names = all[m]->result_names(results->count(m));
    if (static_cast<int64_t>(names.size()) != results->count(m))
      throw InvalidArgument("{}: got {} names for {} values; want one for each", all[m]->name(),
                            names.size(), results->count(m));
    for (const std::string& name : names)
      logs_.emplace_back(
          free_name(of_output ? outputs[tracked->output] : "", name, tracked && tracked->weighted),
          logs_.size());
  }
  std::sort(logs_.begin(), logs_.end());
  results_ = std::move(results);
}

// The epoch's losses are means over batches, weighted by their rows: those of the outputs and the
// penalties add up to the total.
void Objective::track(const Metric& mean, Value loss, Value rows, Terms& terms) const {
  const DType dtype = loss.dtype() == DType::kF64 ? DType::kF64 : DType::kF32;
  const Value total = ops::cast(loss, dtype) * ops::cast(rows, dtype);
  terms.contributions.push_back(ops::cast(total, DType::kF64));
  terms.states.push_back(mean.variables()[0]);
  ops::assign_add(mean.variables()[1].shared(), ops::cast(rows, DType::kF64));
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
    const auto parts = tracked.metric.impl().apply({y_true[i], y_pred[i], weight});
    for (size_t k = 0; k < parts.size(); ++k) {
      terms.contributions.push_back(parts[k]);
      terms.states.push_back(tracked.metric.variables()[k]);
    }
  }
  name_results(outputs);
  return terms;
}

std::vector<Tensor> Objective::states() const { return results_->states(); }

void Objective::set_states(const std::vector<Tensor>& states) { results_->set_states(states); }

void Objective::read(std::vector<std::pair<std::string, double>>& entries,
                     const std::vector<Tensor>* states) const {
  if (entries.size() != logs_.size()) {
    entries.clear();
    for (const auto& [name, place] : logs_) entries.emplace_back(name, 0);
  }
  results_->read(states, [&](std::span<const double> values) {
    for (size_t i = 0; i < logs_.size(); ++i) entries[i].second = values[logs_[i].second];
  });
}

}  // namespace cohort::nn::internal
