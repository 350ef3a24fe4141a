#pragma once

#include <string_view>
#include <utility>

#include "cohort/core/graph/graph.h"

/// How values of rows become the numbers of a batch that lies on several replicas.
namespace cohort::nn {

/// Keras' reductions. In a step of several replicas each replica's result is its share: the sum
/// over replicas is the value for the global batch.
enum class Reduction {
  kNone,
  kSum,
  kSumOverBatchSize,      ///< sum(loss * weight) / number of elements
  kMean,                  ///< the same
  kMeanWithSampleWeight,  ///< sum(loss * weight) / sum(weight)
};

}  // namespace cohort::nn

namespace cohort::nn::internal {

/// "sum", "sum_over_batch_size", "mean", "mean_with_sample_weight" or "none".
Reduction parse_reduction(std::string_view where, std::string_view name);

/// Keras' rule: adds or drops a last dimension of 1 where the ranks differ by one.
std::pair<Value, Value> squeeze_or_expand_to_same_rank(Value a, Value b);

/// Values and their weights after that rule. Weights of a lower rank count from the front: weight
/// [N] of values [N, T, K] is that of a row. InvalidArgument, which calls the values `what`, where
/// a dimension of the weights is neither 1 nor that of the values.
std::pair<Value, Value> match_weights(Value values, Value weights, std::string_view what);
/// Weights with ones behind their dimensions, up to `rank`.
Value append_dims(Value weights, int rank);
/// The weights of masked values, in the weights' dtype; either may be undefined.
Value merge_mask(Value weights, Value mask, DType dtype);

/// a / b, and 0 where b is 0.
Value divide_no_nan(Value a, Value b);

/// The rows of the global batch of which `rows` [N, …] are this replica's, as a scalar of `dtype`.
Value global_rows(Value rows, DType dtype);

/// Weighted and reduced losses; of integers as f32. `sample_weight` and `mask` (bool) may be
/// undefined; masked elements count neither in the sum nor in the divisor. A mean with weights
/// divides by their sum as they were given, also where one of them stands for several elements.
Value reduce_weighted(Value losses, Value sample_weight, Value mask, Reduction reduction);

struct WeightedSum {
  Value total;  ///< sum of values * weights over this replica's rows
  Value count;  ///< sum of weights, or the number of rows as i64
};
/// Keras' Mean metric: values are averaged over all dimensions but the first. In f64 for values of
/// f64 and of integers, else in f32.
WeightedSum samplewise_sum(Value values, Value sample_weight);

}  // namespace cohort::nn::internal
