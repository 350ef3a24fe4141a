#include <gtest/gtest.h>

#include "cohort/core/runtime/runtime.h"

namespace cohort {
namespace {

/// Two devices for every test of this program, whatever order the tests run in.
class LogicalDevices : public ::testing::Environment {
 public:
  void SetUp() override { default_runtime().set_logical_cpu_devices(2); }
};

const ::testing::Environment* const kLogicalDevices =
    ::testing::AddGlobalTestEnvironment(new LogicalDevices);

}  // namespace
}  // namespace cohort
