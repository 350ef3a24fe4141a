#pragma once

#include <string_view>

namespace cohort::cuda {

/// Whether code built for `architectures` runs on a device of compute capability major.minor.
/// `architectures` are CMake's, with commas: "80-real,90-real,80-virtual". A binary (real) runs on
/// devices of its major version from its minor one on, code to be compiled at run time (virtual) on
/// every device from its version on; without either word an entry is both. Words that name no
/// version ("native", "all-major") are taken for yes.
bool runs_on(std::string_view architectures, int major, int minor);

}  // namespace cohort::cuda
