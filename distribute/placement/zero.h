#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "cohort/core/runtime/parameter_group.h"
#include "cohort/distribute/placement/mirrored.h"
#include "cohort/distribute/sharding.h"

namespace cohort::distribute {

struct ZeroOptions {
  Sharding sharding = Sharding::kNone;
  /// Of each device of all processes, which divide the groups: the first replica that it carries.
  std::vector<int64_t> first_replicas = {0};
  size_t bucket_bytes = size_t{4} << 20;  ///< about the size of a group
};

/// The parameter groups of a strategy's steps, while a step has them: steps that update the same
/// variables together share one, and with it its memory.
class ParameterGroups {
 public:
  /// `made`, or one that lies like it.
  std::shared_ptr<ParameterGroup> find_or_add(std::shared_ptr<ParameterGroup> made);

 private:
  std::vector<std::weak_ptr<ParameterGroup>> known_;
};

/// Every device has all variables, and updates its range of each parameter group: gradients are
/// summed by a reduce_scatter for each group, slots exist for the range alone (with kZero2 sums,
/// too), and the end of the step begins to give every device the whole again. What else the
/// replicas reduce, and tables that are updated by rows, are placed as place_mirrored does. The
/// first placing of a trace makes its slots parts of the groups' slots.
///
/// Throws, naming the node and the variable: Unimplemented where an optimizer is not elementwise
/// (OpDef::by_element), or what it does to a gradient before the update is not, sums of all its
/// elements apart; InvalidArgument
/// where something else reads a gradient of which each device has a part.
Trace place_zero(const Trace& trace, const StepRows& rows, const ZeroOptions& options,
                 ParameterGroups& groups);

/// As the options say.
Trace place_step(const Trace& trace, const StepRows& rows, const ZeroOptions& options,
                 ParameterGroups& groups);

}  // namespace cohort::distribute
