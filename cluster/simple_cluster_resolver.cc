#include "cohort/cluster/simple_cluster_resolver.h"

namespace cohort::cluster {

SimpleClusterResolver::SimpleClusterResolver(ClusterSpec spec, SimpleClusterOptions options)
    : spec_(std::move(spec)), options_(std::move(options)) {}

Accelerators SimpleClusterResolver::num_accelerators(const std::optional<std::string>&,
                                                     std::optional<int>) const {
  return options_.num_accelerators;
}

std::optional<std::string> SimpleClusterResolver::given_master(const TaskOverrides& asked) const {
  if ((asked.task_type && asked.task_id) || options_.master.empty()) return std::nullopt;
  return format_master_url(options_.master, asked.rpc_layer ? asked.rpc_layer : options_.rpc_layer);
}

ClusterSpec SimpleClusterResolver::cluster_spec() const { return spec_; }

std::optional<std::string> SimpleClusterResolver::task_type() const { return options_.task_type; }

std::optional<int> SimpleClusterResolver::task_id() const { return options_.task_id; }

std::optional<std::string> SimpleClusterResolver::rpc_layer() const { return options_.rpc_layer; }

std::string SimpleClusterResolver::environment() const { return options_.environment; }

}  // namespace cohort::cluster
