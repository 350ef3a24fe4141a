#include "cohort/nn/metrics/confusion.h"

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/math.h"
#include "cohort/nn/internal/reduction.h"
#include "cohort/nn/internal/threshold_counts.h"

namespace cohort::nn {
namespace {

using internal::Decisions;
using internal::Thresholds;

Value negated(Value labels) { return ops::logical_not(labels); }
Value the_same(Value labels) { return labels; }

/// Counts of labels of one kind at thresholds. States "above" [T] and "all".
class LabelCounter {
 public:
  /// `select`: the labels that count.
  using Select = Value (*)(Value labels);
  LabelCounter(const Thresholds& thresholds, Select select)
      : thresholds_(thresholds), select_(select) {}

  Value above(const Decisions& of) const {
    return thresholds_.count(select_(of.labels), of.scores, of.weights);
  }
  Value all(const Decisions& of) const {
    return internal::count_selected(select_(of.labels), of.weights, 0);
  }

 private:
  const Thresholds& thresholds_;
  Select select_;
};

/// One cell of the matrix: labels of a kind, above or not above the thresholds.
class CellImpl final : public MetricImpl {
 public:
  CellImpl(std::string name, std::vector<double> thresholds, LabelCounter::Select labels,
           bool positives)
      : MetricImpl(std::move(name)),
        thresholds_(internal::checked_thresholds(this->name(), std::move(thresholds), 0.5)),
        labels_(labels),
        positives_(positives) {
    add_state("above", {thresholds_.size()});
    if (!positives_) add_state("all");
  }

  std::vector<Value> contributions(const MetricArgs& args) const override {
    const Decisions decisions = internal::make_decisions(args).flat();
    const LabelCounter counter(thresholds_, labels_);
    std::vector<Value> parts{counter.above(decisions)};
    if (!positives_) parts.push_back(counter.all(decisions));
    return parts;
  }
  Value result(std::span<const Value> states) const override {
    const Value above = thresholds_.above(states[0]);
    return positives_ ? above : states[1] - above;
  }

 private:
  Thresholds thresholds_;
  LabelCounter::Select labels_;
  bool positives_;
};

struct RatioOptions {
  std::vector<double> thresholds;
  internal::DecisionOptions decisions;
  std::string name;
};

/// What Precision and Recall share.
class RatioImpl : public MetricImpl {
 public:
  explicit RatioImpl(RatioOptions options)
      : MetricImpl(std::move(options.name)),
        thresholds_(
            internal::checked_thresholds(name(), std::move(options.thresholds),
                                         options.decisions.top_k ? internal::kNoScore : 0.5)),
        decisions_(options.decisions) {
    if (decisions_.top_k && *decisions_.top_k < 1)
      throw InvalidArgument("{}: got top_k {}; want 1 or more", name(), *decisions_.top_k);
    if (decisions_.class_id && *decisions_.class_id < 0)
      throw InvalidArgument("{}: got class_id {}; want 0 or more", name(), *decisions_.class_id);
    add_state("true_positives", {thresholds_.size()});
  }

 protected:
  Decisions decide(const MetricArgs& args) const {
    return internal::make_decisions(args, decisions_).flat();
  }
  const Thresholds thresholds_;

 private:
  internal::DecisionOptions decisions_;
};

class PrecisionImpl final : public RatioImpl {
 public:
  explicit PrecisionImpl(RatioOptions options) : RatioImpl(std::move(options)) {
    add_state("false_positives", {thresholds_.size()});
  }
  std::vector<Value> contributions(const MetricArgs& args) const override {
    const Decisions decisions = decide(args);
    return {LabelCounter(thresholds_, the_same).above(decisions),
            LabelCounter(thresholds_, negated).above(decisions)};
  }
  Value result(std::span<const Value> states) const override {
    const Value right = thresholds_.above(states[0]), wrong = thresholds_.above(states[1]);
    return internal::divide_no_nan(right, right + wrong);
  }
};

class RecallImpl final : public RatioImpl {
 public:
  explicit RecallImpl(RatioOptions options) : RatioImpl(std::move(options)) {
    add_state("positives");
  }
  std::vector<Value> contributions(const MetricArgs& args) const override {
    const Decisions decisions = decide(args);
    const LabelCounter positives(thresholds_, the_same);
    return {positives.above(decisions), positives.all(decisions)};
  }
  Value result(std::span<const Value> states) const override {
    const Value right = thresholds_.above(states[0]);
    return internal::divide_no_nan(right, ops::broadcast_to(states[1], right.shape()));
  }
};

}  // namespace

namespace metrics {

TruePositives::operator Metric() const {
  return remember(make<CellImpl>(name, thresholds, the_same, true), *this);
}
TrueNegatives::operator Metric() const {
  return remember(make<CellImpl>(name, thresholds, negated, false), *this);
}
FalsePositives::operator Metric() const {
  return remember(make<CellImpl>(name, thresholds, negated, true), *this);
}
FalseNegatives::operator Metric() const {
  return remember(make<CellImpl>(name, thresholds, the_same, false), *this);
}
Precision::operator Metric() const {
  return remember(make<PrecisionImpl>(RatioOptions{thresholds, {top_k, class_id}, name}), *this);
}
Recall::operator Metric() const {
  return remember(make<RecallImpl>(RatioOptions{thresholds, {top_k, class_id}, name}), *this);
}

}  // namespace metrics
}  // namespace cohort::nn
