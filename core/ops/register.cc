#include "core/ops/register.h"

#include "core/ops/array.h"
#include "core/ops/collective.h"
#include "core/ops/constant.h"
#include "core/ops/conv.h"
#include "core/ops/fused.h"
#include "core/ops/indexing.h"
#include "core/ops/internal.h"
#include "core/ops/math.h"
#include "core/ops/matmul.h"
#include "core/ops/norm.h"
#include "core/ops/pool.h"
#include "core/ops/random.h"
#include "core/ops/reduce.h"
#include "core/ops/slices.h"
#include "core/ops/softmax.h"
#include "core/ops/state.h"
#include "core/ops/update.h"

namespace cohort::ops {

void register_ops(OpRegistry& ops) {
  register_array(ops);
  register_collective(ops);
  register_constant(ops);
  register_conv(ops);
  register_fused(ops);
  register_indexing(ops);
  register_internal(ops);
  register_math(ops);
  register_matmul(ops);
  register_norm(ops);
  register_pool(ops);
  register_random(ops);
  register_reduce(ops);
  register_slices(ops);
  register_softmax(ops);
  register_state(ops);
  register_update(ops);
}

}  // namespace cohort::ops
