#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cohort/core/runtime/function.h"
#include "cohort/nn/handle.h"
#include "cohort/nn/variable.h"

namespace cohort::nn {

class Metric;
namespace internal {
class MetricResults;
}

/// What one update of a metric gets. `sample_weight` may be undefined; metrics of one argument
/// (Mean) get it as y_pred, and then y_true is undefined.
struct MetricArgs {
  Value y_true;
  Value y_pred;
  Value sample_weight;
};

/// What a metric is: states that start at 0 and to which every batch adds, and a result made of
/// them. The sums run over all replicas. A user's own derives from it:
///
///   class Positives : public nn::MetricImpl {
///    public:
///     Positives() : MetricImpl("positives") { add_state("count", {}, DType::kI64); }
///     std::vector<Value> contributions(const nn::MetricArgs& args) const override {
///       const Value positive = ops::cast(args.y_true, DType::kBool);
///       return {ops::reduce_sum(ops::cast(positive, DType::kI32))};
///     }
///     Value result(std::span<const Value> states) const override { return states[0]; }
///   };
///   model.compile({…, .metrics = {nn::make<Positives>()}});
class MetricImpl : public MadeOfOptions {
 public:
  using HandleType = Metric;

  explicit MetricImpl(std::string name);
  virtual ~MetricImpl();
  MetricImpl(const MetricImpl&) = delete;
  MetricImpl& operator=(const MetricImpl&) = delete;

  // --- what a metric overrides --------------------------------------------------------------
  /// Adds the states of a metric whose shapes follow from the data, all of them; others are added
  /// in the constructor. Called once, before the first update. Shapes may have symbolic dimensions;
  /// y_true is a scalar for metrics of one argument.
  virtual void build(const Shape& y_true, const Shape& y_pred);
  /// What this replica's rows add to each state, in the order in which they were added: values of
  /// the states' shapes, in the graph being traced. They are widened to the states' dtypes before
  /// they are summed over replicas, so i32 counts and f32 sums of one step lose nothing. Errors get
  /// the metric's name in front.
  virtual std::vector<Value> contributions(const MetricArgs& args) const = 0;
  /// The result, from the states: a number, or K of them as [K]. It is computed on the host.
  virtual Value result(std::span<const Value> states) const = 0;
  /// What the values of the result are called in logs: the metric's name; of several, the name with
  /// _0, _1 … behind it.
  virtual std::vector<std::string> result_names(int64_t count) const;

  // --- what it is ---------------------------------------------------------------------------
  const std::string& name() const { return name_; }
  /// The states.
  const std::vector<Variable>& variables() const { return states_; }
  bool built() const { return built_; }

  // --- how it is used (Metric and models do) ------------------------------------------------
  /// The contributions of a batch, each in its state's dtype; of 16-bit values computed in f32.
  /// Builds the metric. Throws InvalidArgument that names the state where number, shape or dtype
  /// does not fit.
  std::vector<Value> apply(const MetricArgs& given);

 protected:
  /// A state of zeros. Whole numbers are exact in f64 up to 2^53; i64 is for what only counts, and
  /// takes contributions of integers alone. Throws InvalidArgument for bool, a symbolic shape and a
  /// name that is taken.
  Variable add_state(const std::string& name, const Shape& shape = {}, DType dtype = DType::kF64);

 private:
  friend class Metric;
  void build_once(const MetricArgs& args);

  std::string name_;
  std::vector<Variable> states_;
  bool built_ = false;
  std::map<std::vector<bool>, Function> updates_;  ///< by which arguments are there
  std::unique_ptr<internal::MetricResults> results_;
};

/// A handle to a metric.
class Metric : public Handle<MetricImpl> {
 public:
  Metric() = default;
  explicit Metric(std::shared_ptr<MetricImpl> impl) : Handle(std::move(impl)) {}

  const std::string& name() const { return impl().name(); }
  const std::vector<Variable>& variables() const { return impl().variables(); }

  /// Inside a traced function: adds this batch, over all replicas, when the step commits.
  void update_state(Value y_true, Value y_pred, Value sample_weight = {}) const;
  void update_state(Value values) const { update_state(Value(), values); }
  /// Outside: adds concrete values.
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight = {}) const;
  void update_state(const Tensor& values) const { update_state(Tensor(), values); }

  /// Of a metric with one value; InvalidArgument for others. FailedPrecondition before the first
  /// update of one whose states follow from the data.
  double result() const;
  std::vector<double> results() const;
  void reset_state() const;
};

}  // namespace cohort::nn
