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
                            const Outputs& outputs) {
  const std::vector<MetricSpecs::List> lists = specs.resolve(outputs.names, where);
  for (size_t i = 0; i < lists.size(); ++i) {
    for (const MetricSpec& spec : lists[i]) {
      const Metric metric = spec.make(outputs.y_true[i].shape(), outputs.y_pred[i].shape());
      if (std::any_of(metrics_.begin(), metrics_.end(),
                      [&](const Tracked& other) { return other.metric == metric; }))
        throw InvalidArgument("{}: got metric {} twice; want one object for each use", where,
                              metric.name());
      metrics_.push_back({metric, i, weighted});
    }
  }
}

void Objective::begin() {
  if (!total_.defined()) total_ = Mean{.name = "loss"};
}

void Objective::resolve_losses(const std::vector<std::string>& outputs) {
  if (losses_resolved_) return;
  output_losses_.clear();
  if (options_.loss.empty()) throw FailedPrecondition("compile: got no loss; want one");
  losses_ = options_.loss.resolve(outputs, "compile: loss");
  loss_weights_ = options_.loss_weights.empty()
                      ? std::vector<double>(outputs.size(), 1.0)
                      : options_.loss_weights.resolve(outputs, "compile: loss_weights");
  for (const Loss& loss : losses_)
    if (loss.impl().reduction() == Reduction::kNone)
      throw InvalidArgument("{}: got reduction \"none\"; want one that gives a number",
                            loss.name());
  for (size_t i = 0; outputs.size() > 1 && i < outputs.size(); ++i)
    output_losses_.push_back(Mean{.name = outputs[i] + "_loss"});
  losses_resolved_ = true;
}

void Objective::resolve_metrics(const Outputs& outputs) {
  if (metrics_resolved_) return;
  metrics_.clear();
  add_metrics(options_.metrics, false, "compile: metrics", outputs);
  add_metrics(options_.weighted_metrics, true, "compile: weighted_metrics", outputs);
  metrics_resolved_ = true;
}

/// Once all metrics have their states.
void Objective::end(const std::vector<std::string>& outputs, const std::vector<Metric>& tracked) {
  if (results_) return;
  std::vector<MetricImpl*> all{&total_.impl()};
  for (const Metric& loss : output_losses_) all.push_back(&loss.impl());
  const size_t losses = all.size();
  for (const Tracked& of_compile : metrics_) all.push_back(&of_compile.metric.impl());
  const size_t own = all.size();
  for (const Metric& metric : tracked)
    if (!metric.variables().empty()) all.push_back(&metric.impl());
  auto results = std::make_unique<MetricResults>(all);
  logs_.clear();
  for (size_t m = 0; m < all.size(); ++m) {
    const Tracked* of_compile = m < losses || m >= own ? nullptr : &metrics_[m - losses];
    const bool of_output = of_compile && outputs.size() > 1;
    const std::vector<std::string> names = all[m]->result_names(results->count(m));
    if (static_cast<int64_t>(names.size()) != results->count(m))
      throw InvalidArgument("{}: got {} names for {} values; want one for each", all[m]->name(),
                            names.size(), results->count(m));
    for (const std::string& name : names)
      logs_.emplace_back(free_name(of_output ? outputs[of_compile->output] : "", name,
                                   of_compile && of_compile->weighted),
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

Value Objective::record_losses(const Outputs& outputs, const std::vector<Value>& penalties,
                               Terms& terms) {
  resolve_losses(outputs.names);
  Value total;
  for (size_t i = 0; i < outputs.y_pred.size(); ++i) {
    Value loss = losses_[i](outputs.y_true[i], outputs.y_pred[i], outputs.weight_of(i));
    if (!output_losses_.empty())
      track(output_losses_[i], loss, global_rows(outputs.y_pred[0], DType::kF32), terms);
    if (loss_weights_[i] != 1) loss = loss * loss_weights_[i];
    total = total.defined() ? total + ops::cast(loss, total.dtype()) : loss;
  }
  for (const Value& penalty : penalties) total = total + ops::cast(penalty, total.dtype());
  return total;
}

void Objective::record_total(Value total, Value rows, Terms& terms) const {
  track(total_, total, global_rows(rows, DType::kF32), terms);
}

void Objective::record_metrics(const Outputs& outputs, Terms& terms) {
  resolve_metrics(outputs);
  for (const Tracked& tracked : metrics_) {
    const size_t i = tracked.output;
    const Value weight = tracked.weighted ? outputs.weight_of(i) : Value();
    const auto parts = tracked.metric.impl().apply({outputs.y_true[i], outputs.y_pred[i], weight});
    for (size_t k = 0; k < parts.size(); ++k) {
      terms.contributions.push_back(parts[k]);
      terms.states.push_back(tracked.metric.variables()[k]);
    }
  }
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
