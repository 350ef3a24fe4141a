#include "cohort/cluster/cluster_resolver.h"

#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

// The text between "/key:" and the next '/' of a device's name.
std::optional<std::string> component(const std::string& device, const std::string& key) {
  const std::string mark = "/" + key + ":";
  const size_t at = device.find(mark);
  if (at == std::string::npos) return std::nullopt;
  const size_t begin = at + mark.size();
  return device.substr(begin, device.find('/', begin) - begin);
}

}  // namespace

std::string ClusterResolver::master(const std::optional<std::string>& task_type,
                                    std::optional<int> task_id,
                                    const std::optional<std::string>& rpc_layer) const {
  if (const auto given = given_master({task_type, task_id, rpc_layer})) return *given;
  const std::optional<std::string> type = task_type ? task_type : this->task_type();
  const std::optional<int> id = task_id ? task_id : this->task_id();
  if (!type || !id) return "";
  return format_master_url(cluster_spec().task_address(*type, *id),
                           rpc_layer ? rpc_layer : this->rpc_layer());
}

std::optional<std::string> ClusterResolver::given_master(const TaskOverrides&) const {
  return std::nullopt;
}

std::string format_master_url(const std::string& address,
                              const std::optional<std::string>& rpc_layer) {
  return rpc_layer && !rpc_layer->empty() ? *rpc_layer + "://" + address : address;
}

Accelerators count_accelerators(std::span<const std::string> devices,
                                const std::optional<Task>& task) {
  Accelerators counts;
  for (const std::string& device : devices) {
    if (task && (component(device, "job") != task->type ||
                 component(device, "task") != std::to_string(task->index)))
      continue;
    const std::optional<std::string> local = component(device, "device");
    if (!local)
      throw InvalidArgument("devices: got '{}'; want /job:NAME/task:N/device:TYPE:N", device);
    const std::string type = local->substr(0, local->find(':'));
    if (type != "CPU") ++counts[type];
  }
  return counts;
}

}  // namespace cohort::cluster
