#include "cohort/kernels/cuda/discover.h"

#include "cohort/core/error.h"
#include "cohort/kernels/cuda/architectures.h"
#include "cohort/kernels/cuda/status.h"

namespace cohort::cuda {
namespace {

// CUDA's number of a version: 13020 is 13.2.
std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string old_driver() {
  int driver = 0;
  int library = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  check(cudaRuntimeGetVersion(&library), "cudaRuntimeGetVersion");
  return fmt::format("the driver is for CUDA {} and this build for {}; want a newer driver",
                     version_text(driver), version_text(library));
}

// The number of devices; why there is none goes to `reason`.
int count_devices(std::string& reason) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return count;
  (void)cudaGetLastError();
  if (status == cudaErrorInsufficientDriver)
    reason = old_driver();
  else
    reason = status == cudaSuccess ? "CUDA counts 0" : cudaGetErrorString(status);
  return 0;
}

// Why the device cannot be used; "" where it can.
std::string refusal(const cudaDeviceProp& device, int ordinal, std::string_view architectures) {
  if (!runs_on(architectures, device.major, device.minor))
    return fmt::format("compute capability {}.{}, and this build has code for {}", device.major,
                       device.minor, architectures);
  int mode = cudaComputeModeDefault;
  check(cudaDeviceGetAttribute(&mode, cudaDevAttrComputeMode, ordinal), "cudaDeviceGetAttribute");
  return mode == cudaComputeModeProhibited ? "its compute mode is \"prohibited\"" : "";
}

}  // namespace

Discovery discover(std::string_view architectures) {
  Discovery found;
  std::string reason;
  const int count = count_devices(reason);
  std::string left_out;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    cudaDeviceProp device;
    check(cudaGetDeviceProperties(&device, ordinal), "cudaGetDeviceProperties");
    const std::string name =
        fmt::format("gpu:{} {} ({} GiB)", ordinal, device.name, device.totalGlobalMem >> 30);
    const std::string why = refusal(device, ordinal, architectures);
    std::string& list = why.empty() ? found.detail : left_out;
    list += (list.empty() ? "" : ", ") + name + (why.empty() ? "" : " left out: " + why);
    if (why.empty()) found.ordinals.push_back(ordinal);
  }
  if (found.ordinals.empty())
    found.detail = "no device: " + (count == 0 ? reason : left_out);
  else if (!left_out.empty())
    found.detail += "; " + left_out;
  return found;
}

}  // namespace cohort::cuda
