#pragma once

#include <optional>
#include <vector>

#include "cohort/nn/metric.h"

/// Predictions that are compared with thresholds: what AUC, Precision and the like count.
namespace cohort::nn::internal {

/// Labels (bool) and scores of one shape, with weights of that shape or none.
struct Decisions {
  Value labels, scores, weights;
  /// All in a row, [M].
  Decisions flat() const;
};

struct DecisionOptions {
  std::optional<int64_t> top_k = {};     ///< other scores of a row are below every threshold
  std::optional<int64_t> class_id = {};  ///< of the last dimension; absent: all
};
/// Keras' preparation of what an update gets. Weights of a lower rank count from the front. Throws
/// InvalidArgument where shapes, k or class do not fit.
Decisions make_decisions(const MetricArgs& args, const DecisionOptions& options = {});

/// The sum of the weights of what is selected (bool), or as i32 how many that is, along `axis`.
Value count_selected(Value selected, Value weights, int64_t axis);

/// Counts by threshold. Where thresholds are evenly spaced from 0 to 1, by Keras' rule, what is
/// kept are counts of scores between them, which one pass makes; otherwise counts above each.
class Thresholds {
 public:
  explicit Thresholds(std::vector<double> thresholds);

  int64_t size() const { return static_cast<int64_t>(values_.size()); }
  /// What is to be added up: of scores [M] -> [T]; of [N, L] -> [T, L], the columns apart.
  /// `selected` and `weights` as for count_selected.
  Value count(Value selected, Value scores, Value weights) const;
  /// How much lies above each threshold, from such sums in f64.
  Value above(Value sums) const;

 private:
  Value buckets(Value scores) const;

  std::vector<double> values_;
  bool even_ = false;
  bool all_above_first_ = false;  ///< the first lies below 0
};

/// Keras' rule: thresholds in [0, 1] (InvalidArgument that begins with `where`), or `otherwise`.
std::vector<double> checked_thresholds(const std::string& where, std::vector<double> thresholds,
                                       double otherwise);

/// Below every threshold.
inline constexpr double kNoScore = -1e10;

}  // namespace cohort::nn::internal
