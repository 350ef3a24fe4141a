#include <gtest/gtest.h>

#include <cstdlib>

#include "cohort/core/runtime/runtime.h"
#include "cohort/kernels/cuda/device.h"
#include "cohort/kernels/cuda/register.h"

// The cases of tests/gpu, on a device that is the host: kernels/cuda compiled for it.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  setenv("COHORT_DEVICE", "cpu", 1);  // a real one stays out
  cohort::Runtime& runtime = cohort::default_runtime();
  runtime.add_device(std::make_unique<cohort::cuda::CudaDevice>(0));
  cohort::cuda::register_kernels(runtime.kernels());
  return RUN_ALL_TESTS();
}
