#include "cohort/distribute/step_cache.h"

#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/context.h"

namespace cohort::distribute {
namespace {

/// The type under which an argument is traced: dimension 0 is a symbol where it may differ between
/// replicas or steps.
TensorType type_of(const Argument& argument, int num_replicas) {
  const Tensor& first = argument.of(0);
  TensorType type{first.dtype(), first.shape()};
  if (argument.same()) return type;
  bool by_rows = argument.value().batched();
  for (int r = 1; r < num_replicas; ++r) {
    const Tensor& other = argument.of(r);
    if (other.dtype() != first.dtype() || other.rank() != first.rank() ||
        (first.rank() > 0 && other.shape().slice(1) != first.shape().slice(1)))
      throw InvalidArgument(
          "run: got {} {} on replica 0 and {} {} on replica {}; want types that differ in rows at "
          "most",
          first.dtype(), first.shape(), other.dtype(), other.shape(), r);
    by_rows = by_rows || other.shape() != first.shape();
  }
  if (by_rows && type.shape.rank() > 0) type.shape[0] = batch_dim();
  return type;
}

StepMetrics::Totals totals_of(StepRunner& step) {
  const CommunicationCost cost = step.communication_cost();
  return {cost.waited, cost.bytes_sent, cost.collectives};
}

/// Runs the step, and counts it where the program's metrics are served.
void run_counted(const Function& function, StepCache::Step& entry) {
  using Clock = std::chrono::steady_clock;
  const StepNumber number{.seed = default_runtime().random_seed(), .step = function.count_run()};
  MetricRegistry& metrics = default_runtime().metrics();
  if (!metrics.served()) return entry.runner->run(entry.elements, number);
  if (!entry.metrics) entry.metrics.emplace(metrics).begin(totals_of(*entry.runner));
  const auto begin = Clock::now();
  entry.runner->run(entry.elements, number);
  int64_t rows = 0;
  for (const data::Element& element : entry.elements)
    if (!element.empty() && element.front().rank() > 0) rows += element.front().size(0);
  entry.metrics->add({}, Clock::now() - begin, rows, totals_of(*entry.runner));
}

}  // namespace

std::shared_ptr<StepCache::Step> StepCache::find(const Strategy& strategy, const Function& function,
                                                 const Signature& signature,
                                                 const std::vector<bool>& shared) {
  const std::lock_guard lock(mutex_);
  const auto matches = [&](const Entry& entry) {
    return function.is(entry.function) && entry.signature == signature && entry.shared == shared;
  };
  if (const Entry* known = entries_.find(matches)) return known->step;
  entries_.erase_if([](const Entry& entry) { return entry.function.expired(); });
  const StrategyScope scope(strategy);
  Trace trace = function.record(signature);
  trace.shared_inputs = shared;
  auto step = std::make_shared<Step>();
  step->num_outputs = trace.outputs.size();
  step->runner = strategy.make_runner(trace);
  step->elements.resize(static_cast<size_t>(strategy.num_local_replicas()));
  return entries_
      .add({function.watch(), signature, shared, std::move(step)},
           "functions run by " + strategy.name())
      .step;
}

std::vector<PerReplica> Strategy::run(const Function& step,
                                      const std::vector<Argument>& arguments) const {
  return workers().guard("a step", [&] { return run_unguarded(step, arguments); });
}

std::vector<PerReplica> Strategy::run_unguarded(const Function& step,
                                                const std::vector<Argument>& arguments) const {
  require_cross_replica_context("run");
  const int n = num_local_replicas();
  Signature signature;
  std::vector<bool> shared;
  for (const Argument& argument : arguments) {
    if (!argument.same() && argument.value().size() != n)
      throw InvalidArgument("run: got an argument of {} values; want one for each of {} replicas",
                            argument.value().size(), n);
    signature.push_back(type_of(argument, n));
    shared.push_back(argument.same());
  }
  const auto entry = impl_->step_cache().find(*this, step, signature, shared);
  const DeviceTurn turn = entry->runner->take_turn();
  for (int r = 0; r < n; ++r) {
    data::Element& element = entry->elements[static_cast<size_t>(r)];
    element.clear();
    for (const Argument& argument : arguments) element.push_back(argument.of(r).contiguous());
  }
  run_counted(step, *entry);
  std::vector<PerReplica> results;
  for (size_t i = 0; i < entry->num_outputs; ++i) {
    std::vector<Tensor> values;
    for (int r = 0; r < n; ++r) values.push_back(entry->runner->output(r, static_cast<int>(i)));
    results.emplace_back(std::move(values));
  }
  return results;
}

}  // namespace cohort::distribute
