#pragma once

#include <string_view>

/// The version of these headers, for the preprocessor. The build reads it here.
#define COHORT_VERSION_MAJOR 0
#define COHORT_VERSION_MINOR 1
#define COHORT_VERSION_PATCH 0
#define COHORT_VERSION "0.1.0"

namespace cohort {

/// The version of the library that runs, as "0.1.0": the COHORT_VERSION of its headers. A program's
/// own COHORT_VERSION differs from it where it was compiled with others.
std::string_view version();

}  // namespace cohort
