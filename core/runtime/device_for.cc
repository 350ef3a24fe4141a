#include "cohort/core/runtime/device_for.h"

#include "cohort/core/runtime/runtime.h"

namespace cohort {

Device& device_for(const Runtime& runtime, const DeviceName& request, Device& own) {
  return own.name().matches(request) ? own : runtime.device(request.to_string());
}

}  // namespace cohort
