#pragma once

#include <string>

namespace cohort {

/// When process `pid` of this host started, in the kernel's ticks; with the pid it names one
/// process for ever. Empty where there is no such process, or nobody may see it.
std::string process_start(int pid);

}  // namespace cohort
