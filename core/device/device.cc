#include "cohort/core/device/device.h"

namespace cohort {

Device::~Device() = default;

bool Device::begin_recording() { return false; }

std::unique_ptr<Device::Recording> Device::end_recording() { return nullptr; }

}  // namespace cohort
