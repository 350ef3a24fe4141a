#pragma once

#include "cohort/cluster/cluster_resolver.h"
#include "cohort/cluster/environment.h"

namespace cohort::cluster {

/// A pod of a Kubernetes Indexed Job whose pods have names in a headless Service. Reads
///   JOB_COMPLETION_INDEX  this worker; Kubernetes sets it
///   HOSTNAME              the pod's host name, JOB-INDEX; Kubernetes sets it
///   COHORT_NUM_WORKERS    spec.completions
///   COHORT_SERVICE        the Service's name, which is the pods' spec.subdomain
///   COHORT_PORT           where each worker listens; 2222 where it is absent
/// Worker i is at JOB-i.SERVICE:PORT.
class IndexedJobClusterResolver final : public ClusterResolver {
 public:
  /// Throws FailedPrecondition naming the variable that is absent, InvalidArgument for one that is
  /// wrong.
  explicit IndexedJobClusterResolver(const Environment& environment = Environment::of_process());

  ClusterSpec cluster_spec() const override;
  std::optional<std::string> task_type() const override;
  std::optional<int> task_id() const override;
  std::optional<std::string> rpc_layer() const override;
  std::string environment() const override;
  /// The variables know of none.
  Accelerators num_accelerators(const std::optional<std::string>& = {},
                                std::optional<int> = {}) const override;

 private:
  ClusterSpec spec_;
  int index_ = 0;
};

}  // namespace cohort::cluster
