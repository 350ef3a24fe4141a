#include "cohort/kernels/cpu/matmul_plan.h"

#include <array>

#include "cohort/kernels/cpu/broadcast.h"

namespace cohort::cpu {

MatMulPlan::MatMulPlan(const KernelRequest& request) {
  const Attrs& attrs = request.node.attrs();
  const Shape& a = request.inputs[0].shape;
  const Shape& b = request.inputs[1].shape;
  const Shape& y = request.outputs[0].shape;
  transpose_a = attrs.get_or<bool>("transpose_a", false);
  transpose_b = attrs.get_or<bool>("transpose_b", false);
  bias = request.inputs.size() > 2;
  relu = bias && attrs.get_or<std::string>("activation", "") == "relu";
  m = y.size(y.rank() - 2);
  n = y.size(y.rank() - 1);
  k = a.size(a.rank() - (transpose_a ? 2 : 1));
  const BroadcastPlan batches(y.slice(0, y.rank() - 2),
                              std::array{a.slice(0, a.rank() - 2), b.slice(0, b.rank() - 2)});
  batches.for_each_run(0, batches.num_elements(), [&](int64_t, const auto& from, int64_t count) {
    for (int64_t i = 0; i < count; ++i)
      offsets.emplace_back((from[0] + i * batches.inner_stride(0)) * m * k,
                           (from[1] + i * batches.inner_stride(1)) * k * n);
  });
}

}  // namespace cohort::cpu
