#pragma once

#include "cohort/core/graph/op.h"

namespace cohort::ops {

/// Adds every op of core/ops.
void register_ops(OpRegistry& ops);

}  // namespace cohort::ops
