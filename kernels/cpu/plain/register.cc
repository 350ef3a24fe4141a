#include "cohort/kernels/cpu/plain/register.h"

#include "cohort/kernels/cpu/register.h"

namespace cohort::cpu {

void register_plain_kernels(KernelRegistry& registry) {
  plain::register_unary(registry);
  plain::register_binary(registry);
  plain::register_select(registry);
  plain::register_fused(registry);
  plain::register_array(registry);
  plain::register_copy(registry);
  plain::register_reduce(registry);
  plain::register_wide(registry);
  plain::register_matmul(registry);
  plain::register_conv(registry);
  plain::register_pool(registry);
  plain::register_norm(registry);
  plain::register_softmax(registry);
  plain::register_indexing(registry);
  plain::register_slices(registry);
  plain::register_segments(registry);
  plain::register_random(registry);
  plain::register_state(registry);
  plain::register_update(registry);
  plain::register_elementwise_update(registry);
  plain::register_rows_update(registry);
}

}  // namespace cohort::cpu
