#include "cohort/nn/metrics/f_score.h"

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/nn/internal/labels.h"
#include "cohort/nn/internal/names.h"

namespace cohort::nn {
namespace {

enum class Average { kNone, kMicro, kMacro, kWeighted };

constexpr internal::Named<Average> kAverages[] = {{"", Average::kNone},
                                                  {"micro", Average::kMicro},
                                                  {"macro", Average::kMacro},
                                                  {"weighted", Average::kWeighted}};

/// States, [K]: "true_positives", "false_positives", "false_negatives".
class FBetaScoreImpl final : public MetricImpl {
 public:
  explicit FBetaScoreImpl(metrics::FBetaScore options)
      : MetricImpl(std::move(options.name)),
        average_(internal::find_named<Average>(name() + ": average", options.average, kAverages)),
        beta_(options.beta),
        threshold_(options.threshold) {
    if (!(beta_ > 0)) throw InvalidArgument("{}: got beta {}; want more than 0", name(), beta_);
    if (threshold_ && !(*threshold_ > 0 && *threshold_ <= 1))
      throw InvalidArgument("{}: got threshold {}; want more than 0, up to 1", name(), *threshold_);
  }

  void build(const Shape& y_true, const Shape& y_pred) override {
    if (y_true.rank() != 2 || y_pred.rank() != 2 || y_pred[1].is_symbol() || y_true != y_pred)
      throw InvalidArgument("got labels {} and predictions {}; want [N, K] of both", y_true,
                            y_pred);
    for (const char* state : {"true_positives", "false_positives", "false_negatives"})
      add_state(state, {y_pred[1]});
  }

  std::vector<Value> contributions(const MetricArgs& args) const override {
    if (args.y_true.shape() != args.y_pred.shape())
      internal::refuse_labels(args.y_true, args.y_pred);
    const Value labels = ops::cast(args.y_true, DType::kF32);
    const Value decided = ops::cast(decide(internal::floating(args.y_pred)), DType::kF32);
    const auto sum = [&](Value x) {
      if (args.sample_weight.defined())
        x = x * internal::weights_for(args.sample_weight, x, "predictions");
      return ops::reduce_sum(x, {.axis = {0}});
    };
    return {sum(decided * labels), sum(decided * (1.0 - labels)), sum((1.0 - decided) * labels)};
  }

  Value result(std::span<const Value> states) const override {
    Value right = states[0], wrong = states[1], missed = states[2];
    const Value support = right + missed;
    if (average_ == Average::kMicro) {
      right = ops::reduce_sum(right);
      wrong = ops::reduce_sum(wrong);
      missed = ops::reduce_sum(missed);
    }
    const Value precision = right / (right + wrong + internal::kKerasEpsilon);
    const Value recall = right / (right + missed + internal::kKerasEpsilon);
    const double square = beta_ * beta_;
    const Value score =
        precision * recall / (precision * square + recall + internal::kKerasEpsilon) * (1 + square);
    if (average_ == Average::kMacro) return ops::reduce_mean(score);
    if (average_ != Average::kWeighted) return score;
    return ops::reduce_sum(score *
                           (support / (ops::reduce_sum(support) + internal::kKerasEpsilon)));
  }

 private:
  /// What is decided for. All zeros decide for nothing.
  Value decide(Value scores) const {
    if (threshold_) return ops::greater(scores, ops::scalar(*threshold_, scores.dtype()));
    constexpr double kZero = 1e-9;
    const Value largest = ops::reduce_max(scores, {.axis = {-1}, .keepdims = true});
    return ops::logical_and(ops::greater_equal(scores, largest),
                            ops::greater(ops::abs(scores), ops::scalar(kZero, scores.dtype())));
  }

  Average average_;
  double beta_;
  std::optional<double> threshold_;
};

}  // namespace

namespace metrics {

FBetaScore::operator Metric() const { return make<FBetaScoreImpl>(*this); }
F1Score::operator Metric() const {
  return remember(
      make<FBetaScoreImpl>(FBetaScore{.average = average, .threshold = threshold, .name = name}),
      *this);
}

}  // namespace metrics
}  // namespace cohort::nn
