#pragma once

#include <cstddef>
#include <string>

namespace cohort::distribute {

/// So many random bytes of the system, in hexadecimal.
std::string random_hex(size_t bytes);

}  // namespace cohort::distribute
