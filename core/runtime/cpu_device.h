#pragma once

#include <memory>

#include "cohort/core/device/device.h"

namespace cohort {

/// The logical device cpu:`index`, whose kernels run on a team of `num_threads` OpenMP threads led
/// by the thread that called bind_thread().
std::unique_ptr<Device> make_cpu_device(int index, int num_threads);

/// The processors that this process may use.
int num_cpu_cores();

}  // namespace cohort
