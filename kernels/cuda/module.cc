#include <exception>

#include "cohort/core/runtime/module.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/kernels/cuda/device.h"
#include "cohort/kernels/cuda/nccl_communicator.h"
#include "cohort/kernels/cuda/register.h"
#include "cohort/kernels/cuda/status.h"

namespace cohort::cuda {
namespace {

// The number of devices; why there is none goes to `reason`.
int count_devices(std::string& reason) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return count;
  reason = status == cudaSuccess ? "CUDA counts 0" : cudaGetErrorString(status);
  (void)cudaGetLastError();
  return 0;
}

std::string describe(int ordinal) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, ordinal), "cudaGetDeviceProperties");
  return fmt::format("gpu:{} {} ({} GiB)", ordinal, properties.name,
                     properties.totalGlobalMem >> 30);
}

void add_devices(Runtime& runtime, ModuleReport& report) {
  std::string reason;
  const int count = count_devices(reason);
  if (count == 0) {
    report.detail = "cuda: no device: " + reason;
    return;
  }
  // All or nothing: a device that cannot be used throws before any is added.
  std::vector<std::unique_ptr<Device>> devices;
  std::string names;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    devices.push_back(std::make_unique<CudaDevice>(ordinal));
    names += (ordinal ? ", " : "") + describe(ordinal);
  }
  for (auto& device : devices) runtime.add_device(std::move(device));
  register_kernels(runtime.kernels());
  runtime.set_communicator_factory(DeviceType::kGPU, make_nccl_communicators);
  runtime.set_job_communicators(DeviceType::kGPU, nccl_job_communicators());
  report.num_devices = count;
  report.detail = "cuda: " + names;
}

}  // namespace
}  // namespace cohort::cuda

/// core/runtime/module.h. The only symbol that this library exports.
extern "C" __attribute__((visibility("default"))) void cohort_register_module(
    cohort::Runtime& runtime, cohort::ModuleReport& report) {
  try {
    cohort::cuda::add_devices(runtime, report);
  } catch (const std::exception& error) {
    report.detail = std::string("cuda: no device: ") + error.what();
  }
}
