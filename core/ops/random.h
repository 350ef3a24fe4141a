#pragma once

#include "cohort/core/graph/op.h"

/// Counter-based randomness (Philox4x32-10). The key is (seed, hash of the op's full name, step,
/// micro-step); the counter is the element's index in the *global* batch: when dimension 0 is a
/// symbol, this replica's row offset (step state) counts; so values are the same on one replica or
/// many. Because symbols are bound before kernels are made, the builders record whether it was one
/// in attr "batched" (bool). core/runtime/philox.h has the exact definition.
namespace cohort::ops {

/// Op "Dropout": x -> (y, mask bits are recomputed, not stored): kept with probability 1 - rate and
/// scaled by 1 / (1 - rate). Attrs "rate", "seed" (i64, -1: the step's seed only), "stream" (name
/// used as key), "batched". Its gradient is "DropoutGrad" (dy), same attrs, same bits.
Value dropout(Value x, double rate, int64_t seed = -1);
/// Uniform in [low, high). Op "RandomUniform": () -> shape; attrs "shape", "dtype", "low", "high",
/// "seed", "stream", "batched".
Value random_uniform(Shape shape, DType dtype, double low = 0, double high = 1, int64_t seed = -1);
/// Op "RandomNormal"; attrs as above with "mean", "stddev".
Value random_normal(Shape shape, DType dtype, double mean = 0, double stddev = 1,
                    int64_t seed = -1);

void register_random(OpRegistry& ops);

}  // namespace cohort::ops
