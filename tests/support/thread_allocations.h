#pragma once

#include <cstdint>

namespace cohort::test {

/// Calls of operator new by the calling thread so far. Every tensor that is made needs some.
int64_t thread_allocations();

}  // namespace cohort::test
