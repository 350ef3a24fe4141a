#include "cohort/distribute/choose_devices.h"

#include <algorithm>

#include "cohort/core/runtime/communicator.h"
#include "cohort/core/runtime/runtime.h"

namespace cohort::distribute {

std::vector<Device*> choose_devices(std::string_view strategy, Runtime& runtime,
                                    const std::vector<std::string>& names) {
  std::vector<Device*> devices;
  for (const std::string& name : names) devices.push_back(&runtime.device(name));
  if (names.empty()) {
    devices = runtime.devices(DeviceType::kGPU);
    if (devices.empty()) devices = runtime.devices(DeviceType::kCPU);
  }
  for (auto device = devices.begin(); device != devices.end(); ++device) {
    if (std::find(devices.begin(), device, *device) != device)
      throw InvalidArgument("{}: got {} twice; No duplicates allowed in `devices` argument",
                            strategy, (*device)->name().to_string());
    if ((*device)->type() != devices.front()->type())
      throw InvalidArgument("{}: got {} beside {}; want devices of one type", strategy,
                            (*device)->name().to_string(), devices.front()->name().to_string());
  }
  return devices;
}

int choose_replicas(std::string_view strategy, int asked, const std::vector<MeshAxis>& axes,
                    int num_devices) {
  const Mesh mesh(axes);
  for (const MeshAxis& axis : axes)
    if (axis.name != kDataAxis)
      throw Unimplemented("{}: got a mesh with the axis {}; want {} alone", strategy, axis.name,
                          kDataAxis);
  if (asked == 0 && !axes.empty()) asked = static_cast<int>(mesh.num_ranks());
  if (asked == 0) return num_devices;
  if (!axes.empty() && mesh.num_ranks() != asked)
    throw InvalidArgument("{}: got a mesh of {} ({}) for {} replicas; want as many as it has ranks",
                          strategy, mesh.num_ranks(), mesh.to_string(), asked);
  if (asked < num_devices)
    throw InvalidArgument("{}: got {} replicas for {} devices; want at least one for each",
                          strategy, asked, num_devices);
  return asked;
}

size_t check_bytes_per_pack(std::string_view strategy, int64_t bytes) {
  if (bytes < 1)
    throw InvalidArgument("{}: got bytes_per_pack {}; want 1 or more", strategy, bytes);
  return static_cast<size_t>(bytes);
}

}  // namespace cohort::distribute
