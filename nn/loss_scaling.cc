#include "cohort/nn/loss_scaling.h"

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/nn/internal/reduction.h"

namespace cohort::nn {
namespace {

/// Integers divide as f64.
Value floating(Value x) { return is_floating(x.dtype()) ? x : ops::cast(x, DType::kF64); }

}  // namespace

Value compute_average_loss(Value per_example_loss, AverageLossOptions options) {
  require_graph("compute_average_loss");
  if (per_example_loss.rank() == 0)
    throw InvalidArgument("compute_average_loss: got a scalar loss; want at least rank 1: [N, …]");
  if (options.global_batch_size && *options.global_batch_size < 0)
    throw InvalidArgument("compute_average_loss: got global_batch_size {}; want 0 or more",
                          *options.global_batch_size);
  Value losses = floating(per_example_loss);
  const DType dtype = losses.dtype();
  if (options.sample_weight.defined()) {
    Value weight = ops::cast(options.sample_weight, dtype);
    std::tie(losses, weight) = internal::match_weights(losses, weight, "losses");
    losses = losses * internal::append_dims(weight, losses.rank());
  }
  const Value sum = ops::reduce_sum(losses);
  if (!options.global_batch_size) return sum / internal::global_rows(per_example_loss, dtype);
  if (*options.global_batch_size == 0) return ops::scalar(0, dtype);
  return sum / static_cast<double>(*options.global_batch_size);
}

Value scale_regularization_loss(Value regularization_loss) {
  require_graph("scale_regularization_loss");
  const Value losses = floating(regularization_loss);
  const Value sum = losses.rank() == 0 ? losses : ops::reduce_sum(losses);
  return ops::replica_share(sum);
}

}  // namespace cohort::nn
