#pragma once

#include <string>
#include <vector>

#include "cohort/core/placement.h"
#include "cohort/distribute/sharding.h"
#include "cohort/distribute/strategy.h"

namespace cohort::distribute {

/// How gradients of the replicas of one process are added. All give the same bits.
enum class CrossDeviceOps {
  kAuto,                  ///< GPUs: NCCL, or copies on one card; CPU devices: each adds its share
  kNccl,                  ///< refused where the devices are not GPUs on a card each
  kReductionToOneDevice,  ///< the first device adds everything; CPU devices only
  kHierarchicalCopy,      ///< one device of each half adds half of the elements; CPU devices only
};

struct MirroredOptions {
  /// Names such as "gpu:0" or "cpu:1". Empty: all GPUs, or else all logical CPU devices.
  std::vector<std::string> devices = {};
  CrossDeviceOps cross_device_ops = CrossDeviceOps::kAuto;
  /// Logical replicas, spread over the devices in contiguous blocks; 0: one for each device. A job
  /// keeps its number for life; results do not depend on how many devices carry it.
  int num_replicas = 0;
  /// The replicas as a grid with named axes, whose sizes multiply to their number; so far "data"
  /// alone. Empty: {{"data", num_replicas}}.
  std::vector<MeshAxis> mesh = {};
  /// Gradients are reduced in packs of about so many bytes, the first while backward still runs.
  int64_t bytes_per_pack = int64_t{4} << 20;
  /// What the devices divide among themselves; equal bits either way.
  Sharding sharding = Sharding::kNone;
  /// The directory of a job's checkpoints: this start of it takes what its bits depend on from the
  /// newest one, if there is one: the number of logical replicas where num_replicas is 0, the seed,
  /// and the threads of the CPU device where the program has not chosen devices. "": that of the
  /// environment's COHORT_RESUME_FROM, or none.
  std::string resume_from = "";
};

/// Synchronous training on the devices of this process, one copy of every variable on each.
/// Throws InvalidArgument for duplicate devices ("No duplicates allowed in `devices` argument"),
/// devices that are not there, mixed types, or fewer replicas than devices; its first step does for
/// GPUs of which some are logical devices of one card and others are not.
Strategy MirroredStrategy(MirroredOptions options = {});

/// Everything on one named device.
Strategy OneDeviceStrategy(const std::string& device);

/// What holds outside of every scope: one replica on the default device.
Strategy default_strategy();

}  // namespace cohort::distribute
