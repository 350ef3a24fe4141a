#include "cohort/core/ops/register.h"

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/commit_condition.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/conv.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/fused.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/internal.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/norm.h"
#include "cohort/core/ops/pool.h"
#include "cohort/core/ops/random.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/segments.h"
#include "cohort/core/ops/slices.h"
#include "cohort/core/ops/softmax.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/ops/update.h"
#include "cohort/core/ops/update_body.h"

namespace cohort::ops {

void register_ops(OpRegistry& ops) {
  register_array(ops);
  register_collective(ops);
  register_commit_condition(ops);
  register_constant(ops);
  register_conv(ops);
  register_cross_replica(ops);
  register_fused(ops);
  register_indexing(ops);
  register_internal(ops);
  register_math(ops);
  register_matmul(ops);
  register_norm(ops);
  register_pool(ops);
  register_random(ops);
  register_reduce(ops);
  register_segments(ops);
  register_slices(ops);
  register_softmax(ops);
  register_state(ops);
  register_update(ops);
  register_update_body(ops);
}

}  // namespace cohort::ops
