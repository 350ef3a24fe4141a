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

  PerOutput() = default;
  template <class U>
  requires std::is_convertible_v<U, T> PerOutput(U&& all)  // NOLINT
      : values_{T(std::forward<U>(all))} {}
  PerOutput(std::initializer_list<T> values) : values_(values), listed_(true) {}
  PerOutput(std::initializer_list<Entry> named) : listed_(true) {
    for (const Entry& entry : named) {
      names_.push_back(entry.first);
      values_.push_back(entry.second);
    }
  }

  bool empty() const { return values_.empty(); }
  /// One for each of `outputs`. Throws InvalidArgument that begins with `where` when number or
  /// names do not fit; with `partial`, outputs that are not named get T().
  std::vector<T> resolve(const std::vector<std::string>& outputs, std::string_view where,
                         bool partial = false) const {
    if (!names_.empty()) return resolve_names(outputs, where, partial);
    if (!listed_) return std::vector<T>(outputs.size(), values_.front());
    if (values_.size() != outputs.size())
      throw InvalidArgument("{}: got {} entries for {} outputs; want one for each", where,
                            values_.size(), outputs.size());
    return values_;
  }

 private:
  std::vector<T> resolve_names(const std::vector<std::string>& outputs, std::string_view where,
                               bool partial) const {
    std::vector<T> found(outputs.size());
    std::vector<bool> given(outputs.size());
    for (size_t i = 0; i < names_.size(); ++i) {
      size_t at = 0;
      while (at < outputs.size() && outputs[at] != names_[i]) ++at;
      if (at == outputs.size())
        throw InvalidArgument("{}: got the name \"{}\"; want names of outputs ({})", where,
                              names_[i], join(outputs));
      found[at] = values_[i];
      given[at] = true;
    }
    for (size_t i = 0; i < outputs.size() && !partial; ++i)
      if (!given[i])
        throw InvalidArgument("{}: got nothing for output \"{}\"; want one for each", where,
                              outputs[i]);
    return found;
  }
  static std::string join(const std::vector<std::string>& names) {
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    return list;
  }

  std::vector<T> values_;
  std::vector<std::string> names_;
  bool listed_ = false;
};

/// A metric, or the name of one, to be chosen when the shapes of labels and predictions are known.
class MetricSpec {
 public:
  MetricSpec(const char* name) : name_(name) {}              // NOLINT
  MetricSpec(std::string name) : name_(std::move(name)) {}   // NOLINT
  MetricSpec(Metric metric) : metric_(std::move(metric)) {}  // NOLINT
  Metric make(const Shape& y_true, const Shape& y_pred) const {
    return metric_.defined() ? metric_ : make_metric(name_, y_true, y_pred);
  }

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

  MetricSpecs() = default;
  MetricSpecs(std::initializer_list<MetricSpec> list) : list_(list) {}
  MetricSpecs(std::initializer_list<Entry> named) : named_(named) {}
  MetricSpecs(List list) : list_(std::move(list)) {}  // NOLINT

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
};

}  // namespace cohort::nn
