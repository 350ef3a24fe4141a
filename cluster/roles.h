#pragma once

#include <string>
#include <vector>

#include "cohort/cluster/cluster_spec.h"

namespace cohort::cluster {

// What the tasks of a training cluster are to each other, as in tf.distribute: `chief` and `worker`
// train together, the chief first; `ps` hold variables; an `evaluator` is a cluster of its own and
// may be missing in the specification.

/// Throws InvalidArgument unless all jobs are chief, worker, ps or evaluator, with one chief and
/// one evaluator at most, and `task` is one of their tasks (or an evaluator).
void validate(const ClusterSpec& spec, const Task& task);
/// The same for parameter-server training, and there must be a worker and a ps.
void validate_parameter_server(const ClusterSpec& spec, const Task& task);

/// The task that writes files and prints: the chief, worker 0 where there is none, an evaluator.
/// Throws as validate.
bool is_chief(const ClusterSpec& spec, const Task& task);
/// How many tasks train together with one of type `task_type`: chief and workers; an evaluator
/// is 1. Throws InvalidArgument as validate, and for ps.
int worker_count(const ClusterSpec& spec, const std::string& task_type);
/// The position of `task` among those: the chief is 0, then the workers by index.
/// Throws InvalidArgument as validate, and for ps.
int id_in_cluster(const ClusterSpec& spec, const Task& task);
/// "/job:chief/replica:0/task:0", or that of worker 0. Empty for an evaluator and an empty cluster.
/// Throws InvalidArgument as validate.
std::string collective_leader(const ClusterSpec& spec, const Task& task);

/// The tasks that train together, in the order of id_in_cluster.
std::vector<Task> training_tasks(const ClusterSpec& spec);

}  // namespace cohort::cluster
