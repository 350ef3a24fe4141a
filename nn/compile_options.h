#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cohort/nn/losses.h"
#include "cohort/nn/metrics.h"
#include "cohort/nn/optimizers.h"

namespace cohort::nn {

/// Something for each output of a model: one for all, one for each in order, or by the outputs'
/// names: `.loss = "mse"`, `.loss = {"mse", "mse"}`, `.loss = {{"kind", "mse"}, {"size", "mse"}}`.
template <class T>
class PerOutput {
 public:
  using Entry = std::pair<std::string, T>;

  PerOutput();
  template <class U>
  requires std::is_convertible_v<U, T> PerOutput(U&& all)  // NOLINT
      : PerOutput(ForAll(), T(std::forward<U>(all))) {}
  PerOutput(std::initializer_list<T> values);
  PerOutput(std::initializer_list<Entry> named);
  PerOutput(const PerOutput& other);
  PerOutput(PerOutput&& other) noexcept;
  PerOutput& operator=(const PerOutput& other);
  PerOutput& operator=(PerOutput&& other) noexcept;
  ~PerOutput();

  /// One for each output in order, or, with names, of these.
  static PerOutput listed(std::vector<T> values, std::vector<std::string> names = {});

  bool empty() const;
  /// As given: one, where is_for_all().
  const std::vector<T>& values() const { return values_; }
  const std::vector<std::string>& names() const { return names_; }
  bool is_for_all() const { return !listed_ && !values_.empty(); }
  /// One for each of `outputs`. Throws InvalidArgument that begins with `where` when number or
  /// names do not fit; with `partial`, outputs that are not named get T().
  std::vector<T> resolve(const std::vector<std::string>& outputs, std::string_view where,
                         bool partial = false) const;

 private:
  struct ForAll {};
  PerOutput(ForAll, T value);
  std::vector<T> resolve_names(const std::vector<std::string>& outputs, std::string_view where,
                               bool partial) const;

  std::vector<T> values_;
  std::vector<std::string> names_;
  bool listed_ = false;
};
extern template class PerOutput<Loss>;  // nn/compile_options.cc
extern template class PerOutput<double>;

/// A metric, or the name of one, to be chosen when the shapes of labels and predictions are known.
class MetricSpec {
 public:
  MetricSpec(const char* name);  // NOLINT
  MetricSpec(std::string name);  // NOLINT
  MetricSpec(Metric metric);     // NOLINT
  template <class M>
  requires std::is_convertible_v<M, Metric> MetricSpec(const M& metric)  // NOLINT
      : MetricSpec(static_cast<Metric>(metric)) {}
  MetricSpec(const MetricSpec& other);
  MetricSpec(MetricSpec&& other) noexcept;
  MetricSpec& operator=(const MetricSpec& other);
  MetricSpec& operator=(MetricSpec&& other) noexcept;
  ~MetricSpec();

  Metric make(const Shape& y_true, const Shape& y_pred) const;
  const std::string& name() const { return name_; }  ///< "" where a metric was given
  const Metric& metric() const { return metric_; }

 private:
  std::string name_;
  Metric metric_;
};

/// The metrics of a model with one output: a list. With several outputs: a list with one metric for
/// each, or by name `{{"kind", {"accuracy"}}, {"size", {"mse"}}}`.
class MetricSpecs {
 public:
  using List = std::vector<MetricSpec>;
  using Entry = std::pair<std::string, List>;

  MetricSpecs();
  MetricSpecs(std::initializer_list<MetricSpec> list);
  MetricSpecs(std::initializer_list<Entry> named);
  MetricSpecs(List list);  // NOLINT
  MetricSpecs(const MetricSpecs& other);
  MetricSpecs(MetricSpecs&& other) noexcept;
  MetricSpecs& operator=(const MetricSpecs& other);
  MetricSpecs& operator=(MetricSpecs&& other) noexcept;
  ~MetricSpecs();

  static MetricSpecs of_outputs(std::vector<Entry> named);
  const List& list() const { return list_; }
  const std::vector<Entry>& by_output() const { return named_; }
  bool empty() const { return list_.empty() && named_.empty(); }
  /// For each output its metrics. Throws InvalidArgument that begins with `where`.
  std::vector<List> resolve(const std::vector<std::string>& outputs, std::string_view where) const;

 private:
  List list_;
  std::vector<Entry> named_;
};

struct CompileOptions {
  Optimizer optimizer = {};
  PerOutput<Loss> loss = {};
  PerOutput<double> loss_weights = {};
  MetricSpecs metrics = {};
  MetricSpecs weighted_metrics = {};  ///< these see sample_weight and class_weight
  /// Must be false: Cohort has no eager execution.
  bool run_eagerly = false;
  /// Batches between calls of batch hooks.
  int64_t steps_per_execution = 1;
  /// Makes a LossScaleOptimizer of the optimizer where the model's policy is "mixed_float16".
  bool auto_scale_loss = true;
};

}  // namespace cohort::nn
