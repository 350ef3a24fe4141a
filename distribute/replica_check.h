#pragma once

#include <span>

#include "cohort/core/runtime/function.h"

namespace cohort {
class Device;
}

namespace cohort::distribute {

/// Throws InvalidArgument, naming the variable, when a step of several replicas would write
/// something that may differ between them into a variable that must be equal everywhere: a gradient
/// that was not reduced, say. `shares_device`: several replicas run on one device, so that a
/// variable of each replica's own (ON_READ) has no place; Unimplemented then.
void check_replicas_stay_equal(const Trace& trace, bool shares_device);

/// Throws Unimplemented, naming the node, where a step that runs on several devices at once asks
/// for one that is not its replica's own: replicas would meet there.
void check_devices_stay_apart(const Trace& trace, std::span<Device* const> devices);

}  // namespace cohort::distribute
