#include "cohort/core/runtime/module.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "cohort/core/error.h"
#include "cohort/core/runtime/runtime.h"

namespace cohort {
namespace {

// Sets an environment variable while it lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }

 private:
  const char* name_;
};

TEST(ModuleTest, AMissingModuleIsReportedAndChangesNothing) {
  Runtime runtime;
  const ModuleReport report = load_module(runtime, "no_such_module");
  EXPECT_FALSE(report.loaded);
  EXPECT_EQ(report.num_devices, 0);
  EXPECT_NE(report.detail.find("no_such_module: "), std::string::npos) << report.detail;
  EXPECT_TRUE(runtime.devices().empty());
}

// Runs wherever the module was built, with a GPU or without: it must load, and say what it found.
TEST(ModuleTest, TheCudaModuleLoadsAndReportsItsDevices) {
  Runtime runtime;
  const ModuleReport report = load_module(runtime, "cuda");
  if (!report.loaded && report.detail.find("cannot open shared object file") != std::string::npos)
    GTEST_SKIP() << "no CUDA module in this build, or no toolkit to load it with: "
                 << report.detail;
  ASSERT_TRUE(report.loaded) << report.detail;
  EXPECT_EQ(static_cast<int>(runtime.devices(DeviceType::kGPU).size()), report.num_devices);
  EXPECT_EQ(runtime.kernels().has("Add", DeviceType::kGPU), report.num_devices > 0);
  const char* begin = report.num_devices == 0 ? "cuda: no device: " : "cuda: gpu:0 ";
  EXPECT_TRUE(report.detail.starts_with(begin)) << report.detail;
}

TEST(ModuleTest, LoadingTwiceGivesTwoRuntimesTheirDevices) {
  Runtime first, second;
  const ModuleReport one = load_module(first, "cuda");
  const ModuleReport two = load_module(second, "cuda");
  EXPECT_EQ(one.loaded, two.loaded);
  EXPECT_EQ(one.num_devices, two.num_devices);
  EXPECT_EQ(one.detail, two.detail);
}

TEST(ModuleTest, CohortDeviceCpuLeavesTheGpuOut) {
  const Variable variable("COHORT_DEVICE", "cpu");
  Runtime runtime;
  const ModuleReport report = load_gpu_module(runtime);
  EXPECT_FALSE(report.loaded);
  EXPECT_TRUE(runtime.devices(DeviceType::kGPU).empty());
  EXPECT_NE(report.detail.find("COHORT_DEVICE"), std::string::npos) << report.detail;
}

TEST(ModuleTest, CohortDeviceGpuIsAnErrorWhereThereIsNone) {
  Runtime runtime;
  if (load_gpu_module(runtime).num_devices > 0) GTEST_SKIP() << "this machine has a GPU";
  const Variable variable("COHORT_DEVICE", "gpu");
  try {
    load_gpu_module(runtime);
    FAIL() << "want an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kFailedPrecondition);
    EXPECT_NE(std::string(error.what()).find("cuda: "), std::string::npos) << error.what();
  }
}

TEST(ModuleTest, AnUnknownCohortDeviceIsAnError) {
  const Variable variable("COHORT_DEVICE", "tpu");
  Runtime runtime;
  EXPECT_THROW(load_gpu_module(runtime), Error);
}

}  // namespace
}  // namespace cohort
