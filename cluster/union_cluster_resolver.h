#pragma once

#include <memory>
#include <vector>

#include "cohort/cluster/cluster_resolver.h"

namespace cohort::cluster {

/// Several resolvers as one. A job that several have: dense jobs are concatenated in order; if one
/// of them is sparse, all keep their indices, and an index that two have is an error. Everything
/// but the specification comes from `overrides`, then from the first resolver.
class UnionClusterResolver final : public ClusterResolver {
 public:
  /// Throws InvalidArgument without resolvers, or when one is null.
  explicit UnionClusterResolver(std::vector<std::shared_ptr<const ClusterResolver>> resolvers,
                                TaskOverrides overrides = {});

  /// Throws AlreadyExists when two sparse jobs have one index.
  ClusterSpec cluster_spec() const override;
  std::optional<std::string> task_type() const override;
  std::optional<int> task_id() const override;
  std::optional<std::string> rpc_layer() const override;
  std::string environment() const override;
  Accelerators num_accelerators(const std::optional<std::string>& task_type = {},
                                std::optional<int> task_id = {}) const override;

 private:
  /// Without a task, here or in the question, the first resolver's.
  std::optional<std::string> given_master(const TaskOverrides& asked) const override;
  const ClusterResolver& first() const;

  std::vector<std::shared_ptr<const ClusterResolver>> resolvers_;
  TaskOverrides overrides_;
};

}  // namespace cohort::cluster
