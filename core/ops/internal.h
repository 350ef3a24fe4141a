#pragma once

#include "cohort/core/graph/op.h"

/// Ops that only the compiler makes.
namespace cohort::ops {

/// "Copy": x -> x in memory of its own (an Identity is free and shares).
/// "WriteBucket": (x…) -> (); attr "bucket": leaves each x at its place in the bucket.
/// "ReadBucket": () -> shape; attrs "bucket", "segment", "dtype", "shape": a tensor of a bucket.
void register_internal(OpRegistry& ops);

}  // namespace cohort::ops
