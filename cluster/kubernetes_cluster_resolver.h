#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/cluster/cluster_resolver.h"

namespace cohort::cluster {

/// What Kubernetes says of a pod: metadata.name, status.podIP, status.phase.
struct Pod {
  std::string name;
  std::string ip;
  std::string phase;
};

struct KubernetesOptions {
  /// The pods that a label selector finds.
  std::function<std::vector<Pod>(const std::string& selector)> list_pods;
  using Selectors = std::map<std::string, std::vector<std::string>>;
  /// {{"worker", {"job-name=cohort"}}}
  static Selectors default_selectors();

  /// Label selectors of each job.
  Selectors selectors = default_selectors();
  int port = 8470;
  TaskOverrides overrides{.rpc_layer = "grpc"};
};

/// The pods of label selectors as a cluster. The tasks of a job are its selectors' pods, in the
/// order of the selectors; those of one selector by name, numbers in a name by value: worker-2
/// before worker-10. A task's address is its pod's.
class KubernetesClusterResolver final : public ClusterResolver {
 public:
  /// Throws InvalidArgument without list_pods.
  explicit KubernetesClusterResolver(KubernetesOptions options);

  /// Throws FailedPrecondition naming a pod that is not running.
  ClusterSpec cluster_spec() const override;
  std::optional<std::string> task_type() const override;
  std::optional<int> task_id() const override;
  std::optional<std::string> rpc_layer() const override;
  std::string environment() const override;
  /// A list of pods knows of none.
  Accelerators num_accelerators(const std::optional<std::string>& = {},
                                std::optional<int> = {}) const override;

 private:
  KubernetesOptions options_;
};

/// Whether `a` comes before `b`, runs of digits compared as numbers.
bool natural_less(std::string_view a, std::string_view b);

}  // namespace cohort::cluster
