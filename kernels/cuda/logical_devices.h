#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cohort/core/device/device.h"

namespace cohort::cuda {

/// Runtime::LogicalDeviceFactory: `count` devices on the card of the first of `present`, and one on
/// each further card.
std::vector<std::unique_ptr<Device>> make_logical_devices(std::span<Device* const> present,
                                                          int count, int64_t memory_limit_mib);

}  // namespace cohort::cuda
