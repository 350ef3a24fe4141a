#pragma once

#include <vector>

#include "cluster/cluster_resolver.h"
#include "cluster/environment.h"

namespace cohort::cluster {

struct TFConfigOptions {
  TaskOverrides overrides;
  std::string environment;           // what environment() returns instead of TF_CONFIG's
  std::vector<std::string> devices;  // full names of the cluster's devices, where they are known
};

/// Reads TF_CONFIG:
///   {"cluster": {"chief": ["a:2222"], "worker": ["b:2222", "c:2222"]},
///    "task": {"type": "worker", "index": 0}, "rpc_layer": "grpc", "environment": "cloud",
///    "session_master": "a:2222"}
/// Every member may be missing. A sparse job is an object, {"0": "b:2222", "3": "c:2222"}. A task's
/// type may be a number and its index a string.
class TFConfigClusterResolver final : public ClusterResolver {
 public:
  explicit TFConfigClusterResolver(Environment environment, TFConfigOptions options = {});

  ClusterSpec cluster_spec() const override;
  std::optional<std::string> task_type() const override;
  std::optional<int> task_id() const override;
  std::optional<std::string> rpc_layer() const override;
  std::string environment() const override;
  /// Of options.devices, this task's where the arguments name none.
  Accelerators num_accelerators(const std::optional<std::string>& task_type = {},
                                std::optional<int> task_id = {}) const override;

 private:
  /// TF_CONFIG's session_master; nothing to address in a cluster of one task or none.
  std::optional<std::string> given_master(bool task_given) const override;

  Environment environment_;
  TFConfigOptions options_;
};

}  // namespace cohort::cluster
