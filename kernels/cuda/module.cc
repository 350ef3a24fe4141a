#include <exception>

#include "cohort/core/runtime/module.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/kernels/cuda/card_communicator.h"
#include "cohort/kernels/cuda/device.h"
#include "cohort/kernels/cuda/discover.h"
#include "cohort/kernels/cuda/logical_devices.h"
#include "cohort/kernels/cuda/nccl/communicator.h"
#include "cohort/kernels/cuda/register.h"

namespace cohort::cuda {
namespace {

std::vector<std::unique_ptr<Communicator>> make_communicators(const LocalGroup& group) {
  return on_one_card(group.devices) ? make_card_communicators(group)
                                    : make_nccl_communicators(group);
}

void add_devices(Runtime& runtime, ModuleReport& report) {
  const Discovery found = discover(COHORT_CUDA_ARCHITECTURES);
  report.detail = "cuda: " + found.detail;
  if (found.ordinals.empty()) return;
  for (const int ordinal : found.ordinals)
    runtime.add_device(std::make_unique<CudaDevice>(ordinal));
  register_kernels(runtime.kernels());
  runtime.set_logical_gpu_factory(make_logical_devices);
  runtime.set_communicator_factory(DeviceType::kGPU, make_communicators);
  runtime.set_job_communicators(DeviceType::kGPU, nccl_job_communicators());
  report.num_devices = static_cast<int>(found.ordinals.size());
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
