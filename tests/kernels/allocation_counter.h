#pragma once

#include <cstdint>

namespace cohort::testing {

/// How often operator new has been called so far, by all threads of this program.
int64_t num_allocations();

}  // namespace cohort::testing
