#pragma once

#include <vector>

#include "cohort/cluster/cluster_resolver.h"
#include "cohort/cluster/environment.h"

namespace cohort::cluster {

struct TFConfigOptions {
  TaskOverrides overrides = {};
  std::string environment = {};  // what environment() returns instead of TF_CONFIG's
  std::vector<std::string> devices =
      {};  // full names of the cluster's devices, where they are known
};

/// Reads TF_CONFIG:
///   {"cluster": {"chief": ["a:2222"], "worker": ["b:2222", "c:2222"]},
///    "task": {"type": "worker", "index": 0}, "rpc_layer": "grpc", "environment": "cloud",
///    "session_master": "a:2222"}
/// Every member may be missing. A sparse job is an object, {"0": "b:2222", "3": "c:2222"}. A task's
/// type may be a number and its index a string. TFJob's dynamic workers have a "sparseCluster"
/// instead, in which a worker sees itself and the parameter servers. What differs from TensorFlow:
/// it knows neither "sparseCluster" nor "environment", and takes any value for a type, an index
/// that int() takes, and any value for what it hands on unread.
class TFConfigClusterResolver final : public ClusterResolver {
 public:
  explicit TFConfigClusterResolver(Environment environment = Environment::of_process(),
                                   TFConfigOptions options = {});

  ClusterSpec cluster_spec() const override;
  /// Whether the cluster is TFJob's "sparseCluster".
  bool has_sparse_cluster() const;
  std::optional<std::string> task_type() const override;
  std::optional<int> task_id() const override;
  std::optional<std::string> rpc_layer() const override;
  std::string environment() const override;
  /// Of options.devices, this task's where the arguments name none.
  Accelerators num_accelerators(const std::optional<std::string>& task_type = {},
                                std::optional<int> task_id = {}) const override;

 private:
  /// TF_CONFIG's session_master; nothing to address in a cluster of one task or none. Throws
  /// InvalidArgument where neither TF_CONFIG nor the question names a task.
  std::optional<std::string> given_master(const TaskOverrides& asked) const override;

  Environment environment_;
  TFConfigOptions options_;
};

}  // namespace cohort::cluster
