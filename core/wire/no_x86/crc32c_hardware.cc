#include "cohort/core/wire/crc32c.h"

namespace cohort::wire {

internal::Crc32cFunction internal::crc32c_hardware() { return nullptr; }

}  // namespace cohort::wire
