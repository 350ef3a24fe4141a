#include "cohort/cluster/roles.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

constexpr std::array<std::string_view, 4> kTaskTypes = {"chief", "worker", "evaluator", "ps"};
constexpr const char* kTaskTypeNames = "('chief', 'worker', 'evaluator', 'ps')";

bool is_task_type(std::string_view type) {
  return std::find(kTaskTypes.begin(), kTaskTypes.end(), type) != kTaskTypes.end();
}

int task_count(const ClusterSpec& spec, const std::string& job) {
  return spec.has_job(job) ? spec.num_tasks(job) : 0;
}

void check_jobs(const ClusterSpec& spec) {
  for (const std::string& job : spec.jobs())
    if (!is_task_type(job))
      throw InvalidArgument(
          "Disallowed task type found in cluster spec. Allowed types are {} and the cluster spec "
          "is {}.",
          kTaskTypeNames, spec.to_string());
  for (const char* job : {"chief", "evaluator"})
    if (task_count(spec, job) > 1)
      throw InvalidArgument("There must be at most one '{}' job. The cluster spec is {}.", job,
                            spec.to_string());
}

void check_type(const ClusterSpec& spec, const std::string& type) {
  if (!is_task_type(type))
    throw InvalidArgument("Unrecognized task_type: {}, valid task types are: {}", type,
                          kTaskTypeNames);
  if (type != "evaluator" && !spec.has_job(type))
    throw InvalidArgument("`task_type` '{}' not found in cluster_spec. The cluster spec is {}.",
                          type, spec.to_string());
}

}  // namespace

void validate(const ClusterSpec& spec, const Task& task) {
  check_type(spec, task.type);
  check_jobs(spec);
  if (task.index < 0)
    throw InvalidArgument("The `task_id` {} of {} is negative.", task.index, task.type);
  if (!spec.has_job(task.type) || spec.has_task(task)) return;
  const std::vector<int> indices = spec.task_indices(task.type);
  if (indices.empty() || task.index > indices.back())
    throw InvalidArgument("The `task_id` {} exceeds the maximum id of {}. The cluster spec is {}.",
                          task.index, task.type, spec.to_string());
  throw InvalidArgument("The `task_id` {} is not in the sparse job {}. The cluster spec is {}.",
                        task.index, task.type, spec.to_string());
}

void validate_parameter_server(const ClusterSpec& spec, const Task& task) {
  validate(spec, task);
  for (const char* job : {"worker", "ps"})
    if (task_count(spec, job) == 0)
      throw InvalidArgument("There must be at least one {}. The cluster spec is {}.", job,
                            spec.to_string());
}

bool is_chief(const ClusterSpec& spec, const Task& task) {
  validate(spec, task);
  return task.type == "evaluator" || (task.type != "ps" && task == training_tasks(spec).front());
}

int worker_count(const ClusterSpec& spec, const std::string& task_type) {
  check_type(spec, task_type);
  check_jobs(spec);
  if (task_type == "evaluator") return 1;
  if (task_type == "ps")
    throw InvalidArgument("Unexpected `task_type` 'ps'; want chief, worker or evaluator");
  return task_count(spec, "chief") + task_count(spec, "worker");
}

int id_in_cluster(const ClusterSpec& spec, const Task& task) {
  validate(spec, task);
  if (task.type == "evaluator") return task.index;
  if (task.type == "ps") throw InvalidArgument("There is no id for task_type 'ps'");
  const std::vector<Task> tasks = training_tasks(spec);
  return static_cast<int>(std::find(tasks.begin(), tasks.end(), task) - tasks.begin());
}

std::string collective_leader(const ClusterSpec& spec, const Task& task) {
  if (spec.empty()) return "";
  validate(spec, task);
  if (task.type == "evaluator") return "";
  const std::vector<Task> tasks = training_tasks(spec);
  if (tasks.empty())
    throw InvalidArgument("There is no chief and no worker to lead {}.", spec.to_string());
  return "/job:" + tasks[0].type + "/replica:0/task:" + std::to_string(tasks[0].index);
}

std::vector<Task> training_tasks(const ClusterSpec& spec) {
  std::vector<Task> tasks;
  for (const char* job : {"chief", "worker"})
    if (spec.has_job(job))
      for (const int index : spec.task_indices(job)) tasks.push_back({job, index});
  return tasks;
}

}  // namespace cohort::cluster
