#include "cohort/core/runtime/kernel.h"

#include <fmt/ranges.h>

namespace cohort {
namespace {

std::string describe(std::span<const Operand> operands) {
  std::vector<std::string> parts;
  for (const Operand& operand : operands)
    parts.push_back(fmt::format("{} {}", operand.dtype, operand.shape));
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

void KernelRegistry::add(std::string_view op, DeviceType device, std::string_view name,
                         KernelFactory make) {
  entries_[{std::string(op), device}].push_back({std::string(name), make});
}

std::unique_ptr<Kernel> KernelRegistry::make(const KernelRequest& asked) const {
  KernelRequest request = asked;
  request.kernels = this;
  const auto it = entries_.find({request.node.op_name(), request.device.type()});
  if (it != entries_.end())
    for (const Entry& entry : it->second)
      if (auto kernel = entry.make(request)) return kernel;
  throw Unimplemented("{}: no kernel on {} for inputs ({}) and outputs ({}); there are: {}",
                      request.node.op_name(), device_type_name(request.device.type()),
                      describe(request.inputs), describe(request.outputs),
                      fmt::join(names(request.node.op_name(), request.device.type()), ", "));
}

std::unique_ptr<Kernel> KernelRegistry::make(const KernelRequest& asked,
                                             std::string_view name) const {
  KernelRequest request = asked;
  request.kernels = this;
  const auto it = entries_.find({request.node.op_name(), request.device.type()});
  if (it == entries_.end()) return nullptr;
  for (const Entry& entry : it->second)
    if (entry.name == name)
      if (auto kernel = entry.make(request)) return kernel;
  return nullptr;
}

bool KernelRegistry::has(std::string_view op, DeviceType device) const {
  return entries_.count({std::string(op), device}) > 0;
}

std::vector<std::string> KernelRegistry::names(std::string_view op, DeviceType device) const {
  std::vector<std::string> names;
  const auto it = entries_.find({std::string(op), device});
  if (it != entries_.end())
    for (const Entry& entry : it->second) names.push_back(entry.name);
  return names;
}

}  // namespace cohort
