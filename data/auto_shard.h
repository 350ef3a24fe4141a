#pragma once

#include <string>

#include "cohort/data/dataset.h"

/// One dataset, shared by the workers of a cluster (tf.data's auto-sharding):
///   kFile   Worker w of W reads files w, w + W, w + 2W, … of every source of files. Steps that
///           follow (map, shuffle, take, batch, …) do on each worker what they say.
///   kData   Every worker reads everything and keeps elements w, w + W, …; a prefetch at the end
///           stays at the end.
///   kHint   The workers' shares are where `.shard(kShardHint, kShardHint)` stands.
///   kOff    Every worker has the whole dataset.
///   kAuto   kFile where all sources are lists of files, with one file at least for each worker,
///   and
///           all steps can be moved; otherwise kData.
namespace cohort::data {

/// What auto_shard does, and why.
struct ShardingPlan {
  AutoShardPolicy policy = AutoShardPolicy::kOff;  ///< never kAuto
  std::string sentence;                            ///< for people
};

/// Throws NotFound for kFile where the dataset reads no files and several workers would, and
/// InvalidArgument for less than one worker.
ShardingPlan plan_sharding(const Dataset& dataset, int64_t num_workers, AutoShardPolicy policy);
/// The same with the policy of the dataset's options.
ShardingPlan plan_sharding(const Dataset& dataset, int64_t num_workers);

/// Worker `index`'s share of `dataset` under `policy`. With kFile and fewer files
/// than workers some have no elements. With kData, fewer elements than workers are an
/// InvalidArgument on every worker (here or at the first element), but no elements at all are none.
/// Throws also InvalidArgument for an index outside of [0, num_workers), and what plan_sharding
/// throws.
Dataset auto_shard(const Dataset& dataset, int64_t num_workers, int64_t index,
                   AutoShardPolicy policy);
/// The same with the policy of the dataset's options.
Dataset auto_shard(const Dataset& dataset, int64_t num_workers, int64_t index);

}  // namespace cohort::data
