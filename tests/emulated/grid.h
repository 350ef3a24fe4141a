#pragma once

#include <cstdint>
#include <string>

#include "tests/emulated/include/cuda_runtime.h"

namespace cohort::emulated {

/// Runs every thread of every block, one block after the other. Returns "" or the first thing that
/// was wrong, after which the grid was left:
///  * a barrier at which not every thread of the block arrives, or threads that wait at two;
///  * a shuffle or vote that misses lanes of its mask, or asks a lane outside it;
///  * what AccessChecker finds.
/// One caller at a time.
std::string run_grid(const Kernel& kernel, int64_t blocks, int threads);

/// Where `site` is, for people.
std::string describe(const Site& site);

}  // namespace cohort::emulated
