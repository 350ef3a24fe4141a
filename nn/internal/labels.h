#pragma once

#include <string_view>
#include <utility>

#include "cohort/core/graph/graph.h"

/// Labels beside predictions, as metrics take them.
namespace cohort::nn::internal {

/// What Keras adds to divisors.
inline constexpr double kKerasEpsilon = 1e-7;

[[noreturn]] void refuse_labels(Value y_true, Value y_pred);

/// Keras' rule (squeeze_or_expand_to_same_rank), then of equal rank: what broadcasts from the back
/// would compare every row with every other. InvalidArgument where they are not.
std::pair<Value, Value> of_equal_rank(Value y_true, Value y_pred);
/// The same, with equal shapes.
std::pair<Value, Value> of_equal_shape(Value y_true, Value y_pred);

/// Class numbers [N, …] of predictions [N, …, K]: labels [N, …, 1] lose their last dimension.
Value class_labels(Value y_true, Value y_pred);

/// `weights` in f32 and with the rank of x: those of a lower rank count from the front, a last
/// dimension of 1 too many goes. InvalidArgument where they do not fit, which calls x `what`.
Value weights_for(Value weights, Value x, std::string_view what);

/// All of x, [M].
Value in_a_row(Value x);

/// x, or as f32 where it is of integers or bools.
Value floating(Value x);

}  // namespace cohort::nn::internal
