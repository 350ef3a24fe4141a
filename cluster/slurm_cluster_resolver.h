#pragma once

#include <map>
#include <string>
#include <vector>

#include "cohort/cluster/cluster_resolver.h"
#include "cohort/cluster/environment.h"

namespace cohort::cluster {

struct SlurmOptions {
  /// Tasks of each job; ranks fill the jobs in the order of their names. Empty: all are workers.
  std::map<std::string, int> jobs = {};
  /// A node's tasks listen on port_base, port_base + 1, …; with 0, on any port, which they publish.
  int port_base = 8888;
  /// Nothing: as many as CUDA_VISIBLE_DEVICES lists.
  std::optional<int> gpus_per_node = {};
  /// Nothing: a node's GPUs divided by the tasks of the fullest node.
  std::optional<int> gpus_per_task = {};
  /// The same for every node. Nothing: SLURM_STEP_TASKS_PER_NODE.
  std::optional<int> tasks_per_node = {};
  TaskOverrides overrides{.rpc_layer = "grpc"};
};

/// The task that srun started: reads the step's variables (SLURM_PROCID and SLURM_STEP_*), never
/// the job's, which describe the allocation. Nodes keep Slurm's order, and tasks Slurm's
/// distribution over them (SLURM_DISTRIBUTION: block, cyclic or plane=N), checked against
/// SLURM_NODEID and SLURM_LOCALID. COHORT_NODE_ADDRESSES ("node1=10.0.0.1,node2=10.0.0.2") gives
/// addresses to nodes whose names do not resolve.
class SlurmClusterResolver final : public ClusterResolver {
 public:
  /// Throws FailedPrecondition for what the step lacks (variables, tasks, GPUs), InvalidArgument
  /// for a variable that cannot be read.
  explicit SlurmClusterResolver(Environment environment = Environment::of_process(),
                                SlurmOptions options = {});

  ClusterSpec cluster_spec() const override;
  std::optional<std::string> task_type() const override;
  std::optional<int> task_id() const override;
  std::optional<std::string> rpc_layer() const override;
  std::string advice_on_names() const override;
  /// This task's GPUs; no entry where there are none.
  Accelerators num_accelerators(const std::optional<std::string>& task_type = {},
                                std::optional<int> task_id = {}) const override;

  /// What CUDA_VISIBLE_DEVICES should be for this task, so that the tasks of a node share out its
  /// GPUs; as it is where there are fewer GPUs than tasks. Nothing: no GPUs are known.
  std::optional<std::string> visible_devices() const;

 private:
  /// Where a task runs: node, and position among the node's tasks.
  struct Place {
    int node;
    int local;
    bool operator==(const Place&) const = default;
  };

  void read_nodes();
  void read_gpus();
  void place_tasks();
  void check_own_place() const;
  /// Rank in the step to task of a job.
  Task task_of_rank(int rank) const;

  Environment environment_;
  SlurmOptions options_;
  int rank_ = 0;
  std::vector<std::string> hosts_;   // by node
  std::vector<int> tasks_per_node_;  // by node
  std::vector<Place> places_;        // by rank
  std::vector<std::string> gpus_;    // names of a node's GPUs for CUDA_VISIBLE_DEVICES
  int gpus_per_task_ = 0;
};

}  // namespace cohort::cluster
