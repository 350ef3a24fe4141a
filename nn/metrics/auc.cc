#include "cohort/nn/metrics/auc.h"

#include <algorithm>

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/nn/internal/labels.h"
#include "cohort/nn/internal/names.h"
#include "cohort/nn/internal/reduction.h"
#include "cohort/nn/internal/threshold_counts.h"

namespace cohort::nn {
namespace {

using internal::divide_no_nan;

enum class Curve { kRoc, kPr, kPrGain };
enum class Summation { kInterpolation, kMinoring, kMajoring };

constexpr internal::Named<Curve> kCurves[] = {
    {"ROC", Curve::kRoc}, {"roc", Curve::kRoc},       {"PR", Curve::kPr},
    {"pr", Curve::kPr},   {"PRGAIN", Curve::kPrGain}, {"prgain", Curve::kPrGain}};
constexpr internal::Named<Summation> kSummations[] = {
    {"interpolation", Summation::kInterpolation}, {"Interpolation", Summation::kInterpolation},
    {"minoring", Summation::kMinoring},           {"Minoring", Summation::kMinoring},
    {"majoring", Summation::kMajoring},           {"Majoring", Summation::kMajoring}};

/// With one below 0 and one above 1, as Keras has them for rounding's sake.
std::vector<double> thresholds_of(const metrics::AUC& options) {
  std::vector<double> values = options.thresholds;
  for (const double value : values)
    if (!(value >= 0 && value <= 1))
      throw InvalidArgument("{}: got threshold {}; want 0 to 1", options.name, value);
  if (values.empty()) {
    if (options.num_thresholds < 2)
      throw InvalidArgument("{}: got num_thresholds {}; want 2 or more", options.name,
                            options.num_thresholds);
    for (int64_t i = 1; i + 1 < options.num_thresholds; ++i)
      values.push_back(static_cast<double>(i) / static_cast<double>(options.num_thresholds - 1));
  }
  std::sort(values.begin(), values.end());
  values.insert(values.begin(), -internal::kKerasEpsilon);
  values.push_back(1 + internal::kKerasEpsilon);
  return values;
}

/// Counts at each threshold, [T] or [T, L].
struct Counts {
  Value tp, fp, tn, fn;
};

Value all_but_first(Value x) { return ops::slice_axis(x, 0, 1, x.shape().size(0)); }
Value all_but_last(Value x) { return ops::slice_axis(x, 0, 0, x.shape().size(0) - 1); }
Value number(double value) { return ops::scalar(value, DType::kF64); }

// Keras' AUC.interpolate_pr_auc explains: within an interval from A to B of thresholds, with
// p = tp + fp, the area is slope * (dtp + (tp_B - slope * p_B) * log(p_A / p_B)) / positives.
Value interpolated_pr_areas(const Counts& c) {
  const Value p = c.tp + c.fp, p_a = all_but_last(p), p_b = all_but_first(p);
  const Value tp_b = all_but_first(c.tp);
  const Value dtp = all_but_last(c.tp) - tp_b;
  const Value slope = divide_no_nan(dtp, ops::maximum(p_a - p_b, number(0)));
  const Value intercept = tp_b - slope * p_b;
  const Value both = ops::logical_and(ops::greater(p_a, number(0)), ops::greater(p_b, number(0)));
  const Value ratio = ops::where(both, divide_no_nan(p_a, p_b), number(1));
  return divide_no_nan(slope * (dtp + intercept * ops::log(ratio)), tp_b + all_but_first(c.fn));
}

struct Points {
  Value x, y;
};

// Where no positive is found the gain of precision is 1 and that of recall 0, which is never below.
Points prgain_points(const Counts& c) {
  const Value scale = divide_no_nan(c.tp + c.fn, c.tn + c.fp);
  const Value none = ops::equal(c.tp, number(0));
  const Value recall = 1.0 - scale * divide_no_nan(c.fn, c.tp);
  const Value precision = 1.0 - scale * divide_no_nan(c.fp, c.tp);
  return {ops::maximum(ops::where(none, number(0), recall), number(0)),
          ops::where(none, number(1), precision)};
}

Points points_of(Curve curve, const Counts& c) {
  if (curve == Curve::kPrGain) return prgain_points(c);
  const Value recall = divide_no_nan(c.tp, c.tp + c.fn);
  if (curve == Curve::kPr) return {recall, divide_no_nan(c.tp, c.tp + c.fp)};
  return {divide_no_nan(c.fp, c.fp + c.tn), recall};
}

/// The areas of the rectangles between thresholds, [T - 1] or [T - 1, L].
Value areas(Curve curve, Summation summation, const Counts& counts) {
  if (curve == Curve::kPr && summation == Summation::kInterpolation)
    return interpolated_pr_areas(counts);
  const auto [x, y] = points_of(curve, counts);
  const Value left = all_but_last(y), right = all_but_first(y);
  const Value heights = summation == Summation::kMinoring   ? ops::minimum(left, right)
                        : summation == Summation::kMajoring ? ops::maximum(left, right)
                                                            : (left + right) / 2.0;
  return (all_but_last(x) - all_but_first(x)) * heights;
}

/// States: what lies above the thresholds (see Thresholds) and all, of positive and of negative
/// labels.
class AUCImpl final : public MetricImpl {
 public:
  explicit AUCImpl(metrics::AUC options)
      : MetricImpl(options.name),
        options_(std::move(options)),
        curve_(internal::find_named<Curve>(name() + ": curve", options_.curve, kCurves)),
        summation_(internal::find_named<Summation>(name() + ": summation_method",
                                                   options_.summation_method, kSummations)),
        thresholds_(thresholds_of(options_)) {
    if (options_.num_labels && !options_.multi_label)
      throw InvalidArgument("{}: got num_labels {} without multi_label; want both", name(),
                            *options_.num_labels);
    if (!options_.multi_label) add_states({});
  }

  void build(const Shape&, const Shape& y_pred) override {
    if (!options_.multi_label) return;
    if (y_pred.rank() != 2 || y_pred[1].is_symbol() ||
        (options_.num_labels && *options_.num_labels != y_pred.size(1)))
      throw InvalidArgument(
          "got predictions {}; want [N, {}]", y_pred,
          options_.num_labels ? std::to_string(*options_.num_labels) : "num_labels");
    add_states({y_pred[1]});
  }

  std::vector<Value> contributions(const MetricArgs& args) const override {
    internal::Decisions decisions = internal::make_decisions(args);
    if (options_.from_logits) decisions.scores = ops::sigmoid(decisions.scores);
    if (!options_.multi_label) {
      if (!options_.label_weights.empty()) weigh_labels(decisions);
      decisions = decisions.flat();
    }
    const Value positive = decisions.labels, negative = ops::logical_not(positive);
    return {thresholds_.count(positive, decisions.scores, decisions.weights),
            thresholds_.count(negative, decisions.scores, decisions.weights),
            internal::count_selected(positive, decisions.weights, 0),
            internal::count_selected(negative, decisions.weights, 0)};
  }

  Value result(std::span<const Value> states) const override {
    Counts counts;
    counts.tp = thresholds_.above(states[0]);
    counts.fp = thresholds_.above(states[1]);
    counts.fn = states[2] - counts.tp;
    counts.tn = states[3] - counts.fp;
    const Value area = ops::reduce_sum(areas(curve_, summation_, counts), {.axis = {0}});
    if (!options_.multi_label) return area;
    if (options_.label_weights.empty()) return ops::reduce_mean(area);
    const Value weights = label_weights(area.shape(), DType::kF64);
    return divide_no_nan(ops::reduce_sum(area * weights), ops::reduce_sum(weights));
  }

 private:
  void add_states(const Shape& labels) {
    add_state("positives_above", Shape{thresholds_.size()} + labels);
    add_state("negatives_above", Shape{thresholds_.size()} + labels);
    add_state("positives", labels);
    add_state("negatives", labels);
  }

  /// [L], where the last dimension of what they are for is L.
  Value label_weights(const Shape& shape, DType dtype) const {
    const auto count = static_cast<int64_t>(options_.label_weights.size());
    if (shape.rank() < 1 || !(shape[shape.rank() - 1] == count))
      throw InvalidArgument(
          "got {} label_weights for labels {}; want one for each of the last "
          "dimension",
          count, shape);
    return ops::constant(Tensor::from(options_.label_weights, {count}).cast(dtype));
  }
  void weigh_labels(internal::Decisions& decisions) const {
    const Shape& shape = decisions.scores.shape();
    const Value weights = ops::broadcast_to(label_weights(shape, DType::kF32), shape);
    decisions.weights = decisions.weights.defined() ? decisions.weights * weights : weights;
  }

  metrics::AUC options_;
  Curve curve_;
  Summation summation_;
  internal::Thresholds thresholds_;
};

}  // namespace

namespace metrics {

AUC::operator Metric() const { return make<AUCImpl>(*this); }

}  // namespace metrics
}  // namespace cohort::nn
