#pragma once

#include "cohort/cluster/cluster_resolver.h"

namespace cohort::cluster {

struct SimpleClusterOptions {
  std::string master = {};  // what master() returns when it is not asked for a task
  std::optional<std::string> task_type = {};
  std::optional<int> task_id = {};
  std::string environment = {};
  Accelerators num_accelerators = {};
  std::optional<std::string> rpc_layer = {};
};

/// A cluster that the program knows itself.
class SimpleClusterResolver final : public ClusterResolver {
 public:
  explicit SimpleClusterResolver(ClusterSpec spec, SimpleClusterOptions options = {});

  ClusterSpec cluster_spec() const override;
  std::optional<std::string> task_type() const override;
  std::optional<int> task_id() const override;
  std::optional<std::string> rpc_layer() const override;
  std::string environment() const override;
  /// The same for every task.
  Accelerators num_accelerators(const std::optional<std::string>& task_type = {},
                                std::optional<int> task_id = {}) const override;

 private:
  std::optional<std::string> given_master(const TaskOverrides& asked) const override;

  ClusterSpec spec_;
  SimpleClusterOptions options_;
};

}  // namespace cohort::cluster
