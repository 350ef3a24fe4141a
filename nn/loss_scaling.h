#pragma once

#include <optional>

#include "cohort/core/graph/graph.h"
#include "cohort/nn/variable.h"

/// tf.nn's helpers for custom loops: what one replica computes so that the sum over replicas is the
/// loss of the global batch. Inside traced functions only.
namespace cohort::nn {

struct AverageLossOptions {
  Value sample_weight = {};  ///< one for each example or element, counted from the front
  /// Rows of the global batch. Absent: the rows that the replicas have in this step, together.
  std::optional<int64_t> global_batch_size = {};
};
/// sum(per_example_loss * sample_weight) / global_batch_size, in the losses' dtype (f64 for
/// integers). 0 for a batch size of 0. InvalidArgument for a scalar loss, for weights that do not
/// fit and for a negative batch size.
Value compute_average_loss(Value per_example_loss, AverageLossOptions options = {});

/// regularization_loss summed to a scalar and divided by the number of replicas, each of which adds
/// it.
Value scale_regularization_loss(Value regularization_loss);

}  // namespace cohort::nn
