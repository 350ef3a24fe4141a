#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cohort::cuda {

/// The GPUs of this machine, before any is used: none gets a context by being looked at.
struct Discovery {
  std::vector<int> ordinals;  ///< of those that can be used
  /// What these are, and why others are left out, for people; without any, why there is none.
  std::string detail;
};

/// `architectures`: what this build has code for (architectures.h). Throws what CUDA says.
Discovery discover(std::string_view architectures);

}  // namespace cohort::cuda
