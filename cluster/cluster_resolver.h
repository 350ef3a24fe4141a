#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>

#include "cohort/cluster/cluster_spec.h"

namespace cohort::cluster {

/// Number of devices by type, such as {"GPU": 4}.
using Accelerators = std::map<std::string, int>;

/// What a resolver's caller knows better than its source.
struct TaskOverrides {
  std::optional<std::string> task_type = {};
  std::optional<int> task_id = {};
  std::optional<std::string> rpc_layer = {};
};

/// Where a cluster's description comes from, as in tf.distribute.cluster_resolver: which tasks
/// there are, at which addresses, and which of them this process is. Nothing is cached: each call
/// looks again. Throws InvalidArgument for a description that is wrong, FailedPrecondition for one
/// that is missing.
class ClusterResolver {
 public:
  virtual ~ClusterResolver() = default;

  /// Addresses are "host:port". Port 0: any port, which the task publishes. Empty: any port of any
  /// interface.
  virtual ClusterSpec cluster_spec() const = 0;
  /// Which task this process is; nothing where the source does not say.
  virtual std::optional<std::string> task_type() const = 0;
  virtual std::optional<int> task_id() const = 0;
  /// The protocol before an address, such as "grpc"; nothing: none.
  virtual std::optional<std::string> rpc_layer() const = 0;
  /// Where the cluster runs, such as "cloud"; empty where nobody says.
  virtual std::string environment() const { return ""; }

  /// What to do about names of hosts that do not resolve, for messages: "want …"; empty where
  /// nobody knows.
  virtual std::string advice_on_names() const { return ""; }

  /// "grpc://host:port" of a task: the given one, otherwise this one. Empty where there is none.
  std::string master(const std::optional<std::string>& task_type = {},
                     std::optional<int> task_id = {},
                     const std::optional<std::string>& rpc_layer = {}) const;
  /// The devices of a task, where the resolver knows them. Task and id count only if both are
  /// given.
  virtual Accelerators num_accelerators(const std::optional<std::string>& task_type = {},
                                        std::optional<int> task_id = {}) const = 0;

 protected:
  /// An answer of master() that comes before the addresses. `asked`: what the caller names.
  virtual std::optional<std::string> given_master(const TaskOverrides& asked) const;
};

/// "grpc://host:port", or the address alone without a layer.
std::string format_master_url(const std::string& address,
                              const std::optional<std::string>& rpc_layer);

/// Counts devices named "/job:worker/replica:0/task:3/device:GPU:0" by type, CPUs not; of `task`
/// alone if given. Throws InvalidArgument for a name without a type.
Accelerators count_accelerators(std::span<const std::string> devices,
                                const std::optional<Task>& task = {});

}  // namespace cohort::cluster
