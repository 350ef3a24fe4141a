#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cohort/distribute/sharding.h"

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

/// The number of logical replicas for `num_devices` devices: `asked`, or one for each device when
/// that is 0. Throws InvalidArgument for fewer than one for each.
int choose_replicas(std::string_view strategy, int asked, int num_devices);

/// Throws InvalidArgument for less than 1.
size_t check_bytes_per_pack(std::string_view strategy, int64_t bytes);

/// Throws Unimplemented where devices of this kind cannot be sharded over so.
Sharding check_sharding(std::string_view strategy, Sharding sharding, const Device& device);

}  // namespace cohort::distribute
