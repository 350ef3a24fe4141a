#pragma once

#include <cstdint>
#include <vector>

#include "cohort/data/dataset.h"

namespace cohort::data {

/// How worker `worker` of `num_workers` cuts global batches of `global_batch_size` rows for
/// Dataset::rebatch, with `replicas_per_worker` replicas each: one size per replica of the cluster.
/// The sizes sum to the global batch and differ by 1 at most; at every step the sizes of all
/// replicas of all workers sum to it as well. Throws InvalidArgument for numbers out of range.
std::vector<int64_t> batch_sizes_for_worker(int64_t global_batch_size, int64_t num_workers,
                                            int64_t replicas_per_worker, int64_t worker);

/// The rows of a batch that belong to replicas [split.first, split.first + split.count). With a
/// known batch size G, the first G mod n of n replicas get one row more, and a shorter batch fills
/// them in order, so that later ones may get fewer rows, or none. With an unknown one (0 or -1)
/// each gets ceil(rows / n) while there are rows.
struct RowSpan {
  int64_t begin = 0;
  int64_t end = 0;
};
RowSpan rows_of_replicas(int64_t rows, int64_t batch_size, const RowSplit& split);

/// The batch size that the description of `dataset` fixes (all batches but the last), or -1 where
/// it fixes none: nothing was batched, or a map came after whose result has an open first dimension
/// (batch with drop_remainder closes it).
int64_t compute_batch_size(const Dataset& dataset);

}  // namespace cohort::data
