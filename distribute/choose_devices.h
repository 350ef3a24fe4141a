#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/placement.h"

namespace cohort {
class Device;
class Runtime;
}  // namespace cohort

namespace cohort::distribute {

/// The devices that carry a strategy's replicas in this process: those named, or all GPUs, or else
/// all logical CPU devices. Throws InvalidArgument, beginning with `strategy`, for duplicates,
/// mixed types and devices that are not there.
std::vector<Device*> choose_devices(std::string_view strategy, Runtime& runtime,
                                    const std::vector<std::string>& names);

/// The number of logical replicas for `num_devices` devices: `asked`, or where that is 0 the ranks
/// of the mesh of these axes, or without axes one for each device. Throws InvalidArgument for fewer
/// than one for each, for a mesh of another number of ranks, and as Mesh does; Unimplemented,
/// naming it, for an axis other than kDataAxis.
int choose_replicas(std::string_view strategy, int asked, const std::vector<MeshAxis>& mesh,
                    int num_devices);

/// Throws InvalidArgument for less than 1.
size_t check_bytes_per_pack(std::string_view strategy, int64_t bytes);

}  // namespace cohort::distribute
