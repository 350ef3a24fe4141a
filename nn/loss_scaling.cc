#include "nn/loss_scaling.h"

#include "core/graph/scope.h"
#include "core/ops/constant.h"
#include "core/ops/math.h"
#include "core/ops/reduce.h"
#include "core/ops/state.h"
#include "nn/internal/reduction.h"

namespace cohort::nn {

Value compute_average_loss(Value per_example_loss, AverageLossOptions options) {
  require_graph("compute_average_loss");
  if (per_example_loss.rank() == 0)
    throw InvalidArgument("compute_average_loss: got a scalar loss; want at least rank 1: [N, …]");
  if (options.global_batch_size && *options.global_batch_size < 0)
    throw InvalidArgument("compute_average_loss: got global_batch_size {}; want 0 or more",
                          *options.global_batch_size);
  const DType dtype = per_example_loss.dtype();
  Value losses = per_example_loss;
  if (options.sample_weight.defined()) {
    Value weight = ops::cast(options.sample_weight, dtype);
    std::tie(losses, weight) = internal::squeeze_or_expand_to_same_rank(losses, weight);
    losses = losses * weight;
  }
  const Value sum = ops::reduce_sum(losses);
  if (!options.global_batch_size) return sum / internal::global_rows(per_example_loss, dtype);
  if (*options.global_batch_size == 0) return ops::scalar(0, dtype);
  return sum / static_cast<double>(*options.global_batch_size);
}

Value scale_regularization_loss(Value regularization_loss) {
  require_graph("scale_regularization_loss");
  const Value sum =
      regularization_loss.rank() == 0 ? regularization_loss : ops::reduce_sum(regularization_loss);
  return sum / ops::cast(ops::step_info(ops::StepField::kNumReplicas), sum.dtype());
}

}  // namespace cohort::nn
