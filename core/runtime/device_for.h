#pragma once

#include "cohort/core/device.h"

namespace cohort {

class Device;
class Runtime;

/// Where a node that asks for `request` runs, in a step of device `own`: there, if what it asks for
/// is that device or nothing; else on the runtime's first device that has this name. Throws
/// InvalidArgument that lists what is there.
Device& device_for(const Runtime& runtime, const DeviceName& request, Device& own);

}  // namespace cohort
