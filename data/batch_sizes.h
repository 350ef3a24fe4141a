#pragma once

#include <cstdint>
#include <vector>

#include "data/dataset.h"

namespace cohort::data {

/// How worker `worker` of `num_workers` cuts global batches of `global_batch_size` rows for
/// Dataset::rebatch, with `replicas_per_worker` replicas each: one size per replica of the cluster.
/// The sizes sum to the global batch and differ by 1 at most; at every step the sizes of all
/// replicas of all workers sum to it as well. Throws InvalidArgument for numbers out of range.
std::vector<int64_t> batch_sizes_for_worker(int64_t global_batch_size, int64_t num_workers,
                                            int64_t replicas_per_worker, int64_t worker);

/// The batch size that the description of `dataset` fixes (all batches but the last), or -1 where
/// it fixes none: nothing was batched, or a map came after.
int64_t compute_batch_size(const Dataset& dataset);

}  // namespace cohort::data
