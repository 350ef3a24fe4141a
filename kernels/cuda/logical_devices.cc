#include "cohort/kernels/cuda/logical_devices.h"

#include <algorithm>

#include "cohort/kernels/cuda/device.h"

namespace cohort::cuda {
namespace {

constexpr const char* kWhat = "set_logical_gpu_devices";

/// In order, each once.
std::vector<int> cards_of(std::span<Device* const> devices) {
  std::vector<int> cards;
  for (const Device* device : devices) {
    const auto& gpu = static_cast<const CudaDevice&>(*device);
    if (gpu.is_open())
      throw FailedPrecondition(
          "{}: got a call after {} was used; want it before the first model, variable or step",
          kWhat, gpu.name().to_string());
    if (std::find(cards.begin(), cards.end(), gpu.ordinal()) == cards.end())
      cards.push_back(gpu.ordinal());
  }
  return cards;
}

void check_limit(int card, int count, int64_t limit_mib) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, card), "cudaGetDeviceProperties");
  const auto mib = static_cast<int64_t>(properties.totalGlobalMem >> 20);
  if (limit_mib > mib / count)
    throw InvalidArgument("{}: got {} devices of {} MiB on a card of {} MiB ({}); want no more",
                          kWhat, count, limit_mib, mib, properties.name);
}

}  // namespace

std::vector<std::unique_ptr<Device>> make_logical_devices(std::span<Device* const> present,
                                                          int count, int64_t memory_limit_mib) {
  const std::vector<int> cards = cards_of(present);
  check_limit(cards.front(), count, memory_limit_mib);
  std::vector<std::unique_ptr<Device>> devices;
  const auto add = [&](int card, size_t memory_limit) {
    const auto index = static_cast<int>(devices.size());
    devices.push_back(std::make_unique<CudaDevice>(
        Place{.ordinal = card, .index = index, .memory_limit = memory_limit}));
  };
  for (int i = 0; i < count; ++i) add(cards.front(), static_cast<size_t>(memory_limit_mib) << 20);
  for (const int card : std::span(cards).subspan(1)) add(card, 0);
  return devices;
}

}  // namespace cohort::cuda
