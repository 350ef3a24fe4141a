#pragma once

#include <cstdint>

namespace cohort::test {

/// Calls of operator new by the calling thread so far. Every tensor that is made needs some.
int64_t thread_allocations();
/// The same, by all threads of this program.
int64_t all_allocations();

}  // namespace cohort::test
