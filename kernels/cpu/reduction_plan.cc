#include "cohort/kernels/cpu/reduction_plan.h"

namespace cohort::cpu {

ReductionPlan::ReductionPlan(const Shape& input, const Attrs& attrs) {
  const auto& axes = attrs.get<std::vector<int64_t>>("axis");
  const int rank = input.rank();
  std::vector<bool> reduce(static_cast<size_t>(rank), axes.empty());
  for (const int64_t axis : axes) reduce[static_cast<size_t>(input.axis(axis, "reduce"))] = true;

  int64_t stride = input.num_elements();
  bool previous = false;
  bool first = true;
  for (int axis = 0; axis < rank; ++axis) {
    const int64_t size = input.size(axis);
    stride = size > 0 ? stride / size : 0;
    const bool is_reduced = reduce[static_cast<size_t>(axis)];
    (is_reduced ? num_reduced : num_outputs) *= size;
    if (size == 1) continue;
    std::vector<Axis>& list = is_reduced ? reduced : kept;
    if (!first && previous == is_reduced)
      list.back() = {list.back().size * size, stride};
    else
      list.push_back({size, stride});
    previous = is_reduced;
    first = false;
  }
  if (!kept.empty() && kept.back().stride == 1) inner = kept.back().size;
}

int64_t ReductionPlan::base(int64_t index) const {
  int64_t offset = 0;
  for (size_t axis = kept.size(); axis-- > 0;) {
    offset += index % kept[axis].size * kept[axis].stride;
    index /= kept[axis].size;
  }
  return offset;
}

}  // namespace cohort::cpu
