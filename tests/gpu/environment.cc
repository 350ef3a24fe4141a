#include <gtest/gtest.h>

#include "cohort/core/runtime/runtime.h"

namespace cohort {
namespace {

/// Where there is one GPU it serves as four, so that what takes several runs there too.
class OneGpuServesAsFour : public ::testing::Environment {
 public:
  void SetUp() override {
    if (default_runtime().devices(DeviceType::kGPU).size() == 1)
      default_runtime().set_logical_gpu_devices(4);
  }
};

[[maybe_unused]] const auto* const environment =
    ::testing::AddGlobalTestEnvironment(new OneGpuServesAsFour);

}  // namespace
}  // namespace cohort
