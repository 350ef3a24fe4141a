#pragma once

#include "cohort/core/graph/op.h"

/// Ops that only the compiler makes.
namespace cohort::ops {

/// "Copy": x -> x in memory of its own (an Identity is free and shares).
/// "StepVote": () -> i32 scalar: 1, or 0 where a kernel of this step has found bad data.
/// "StepVeto": (i32) -> (); attr "voters": unless that is what it gets, the commits behind it write
/// nothing.
void register_internal(OpRegistry& ops);

}  // namespace cohort::ops
