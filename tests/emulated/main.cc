#include <gtest/gtest.h>

#include <cstdlib>

#include "cohort/core/runtime/runtime.h"
#include "cohort/kernels/cuda/card_communicator.h"
#include "cohort/kernels/cuda/device.h"
#include "cohort/kernels/cuda/logical_devices.h"
#include "cohort/kernels/cuda/register.h"

// The cases of tests/gpu, on a device that is the host: kernels/cuda compiled for it.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  setenv("COHORT_DEVICE", "cpu", 1);  // a real one stays out
  cohort::Runtime& runtime = cohort::default_runtime();
  runtime.add_device(std::make_unique<cohort::cuda::CudaDevice>(0));
  cohort::cuda::register_kernels(runtime.kernels());
  runtime.set_logical_gpu_factory(cohort::cuda::make_logical_devices);
  runtime.set_communicator_factory(cohort::DeviceType::kGPU, [](const cohort::LocalGroup& group) {
    return cohort::cuda::make_card_communicators(group);
  });
  runtime.set_job_communicators(cohort::DeviceType::kGPU, {.identity = [](const cohort::Device&) {
                                  return std::string("emulated");
                                }});
  return RUN_ALL_TESTS();
}
