#include "cohort/cluster/cluster_spec.h"

#include <fmt/format.h>

#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

bool is_dense(const std::map<int, std::string>& tasks) {
  return !tasks.empty() && tasks.rbegin()->first + 1 == static_cast<int>(tasks.size());
}

std::string quote(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

std::string tasks_to_string(const std::map<int, std::string>& tasks) {
  const bool dense = is_dense(tasks);
  std::string text;
  for (const auto& [index, address] : tasks) {
    if (!text.empty()) text += ", ";
    if (!dense) text += std::to_string(index) + ": ";
    text += quote(address);
  }
  return dense ? "[" + text + "]" : "{" + text + "}";
}

}  // namespace

ClusterSpec::ClusterSpec() = default;
ClusterSpec::ClusterSpec(const ClusterSpec&) = default;
ClusterSpec::ClusterSpec(ClusterSpec&&) noexcept = default;
ClusterSpec& ClusterSpec::operator=(const ClusterSpec&) = default;
ClusterSpec& ClusterSpec::operator=(ClusterSpec&&) noexcept = default;
ClusterSpec::~ClusterSpec() = default;
bool ClusterSpec::operator==(const ClusterSpec&) const = default;

ClusterSpec::ClusterSpec(std::initializer_list<DenseJobs::value_type> jobs)
    : ClusterSpec(DenseJobs(jobs)) {}

ClusterSpec::ClusterSpec(const DenseJobs& jobs) {
  for (const auto& [job, addresses] : jobs) {
    if (addresses.size() > static_cast<size_t>(kMaxIndex) + 1)
      throw InvalidArgument("ClusterSpec: got {} tasks in job '{}'; want {} at most",
                            addresses.size(), job, kMaxIndex + 1);
    auto& tasks = jobs_[job];
    for (size_t i = 0; i < addresses.size(); ++i)
      tasks.emplace_hint(tasks.end(), static_cast<int>(i), addresses[i]);
  }
}

ClusterSpec ClusterSpec::sparse(const SparseJobs& jobs) {
  for (const auto& [job, tasks] : jobs)
    for (const auto& [index, address] : tasks)
      if (index < 0 || index > kMaxIndex)
        throw InvalidArgument("ClusterSpec: got task index {} in job '{}'; want 0 … {}", index, job,
                              kMaxIndex);
  ClusterSpec spec;
  spec.jobs_ = jobs;
  return spec;
}

bool ClusterSpec::empty() const { return jobs_.empty(); }

bool ClusterSpec::has_job(const std::string& job) const { return jobs_.contains(job); }

bool ClusterSpec::has_task(const Task& task) const {
  const auto job = jobs_.find(task.type);
  return job != jobs_.end() && job->second.contains(task.index);
}

std::vector<std::string> ClusterSpec::jobs() const {
  std::vector<std::string> names;
  for (const auto& [name, tasks] : jobs_) names.push_back(name);
  return names;
}

int ClusterSpec::num_tasks(const std::string& job) const {
  return static_cast<int>(find(job).size());
}

std::vector<int> ClusterSpec::task_indices(const std::string& job) const {
  std::vector<int> indices;
  for (const auto& [index, address] : find(job)) indices.push_back(index);
  return indices;
}

std::vector<std::optional<std::string>> ClusterSpec::job_tasks(const std::string& job) const {
  const std::map<int, std::string>& tasks = find(job);
  std::vector<std::optional<std::string>> addresses;
  if (!tasks.empty()) addresses.resize(tasks.rbegin()->first + 1);
  for (const auto& [index, address] : tasks) addresses[index] = address;
  return addresses;
}

const std::string& ClusterSpec::task_address(const std::string& job, int index) const {
  const std::map<int, std::string>& tasks = find(job);
  const auto task = tasks.find(index);
  if (task == tasks.end())
    throw InvalidArgument("ClusterSpec: no task with index {} in job '{}'; there are {}", index,
                          job, to_string());
  return task->second;
}

std::string ClusterSpec::to_string() const {
  std::string text;
  for (const auto& [job, tasks] : jobs_) {
    if (!text.empty()) text += ", ";
    text += quote(job) + ": " + tasks_to_string(tasks);
  }
  return "ClusterSpec({" + text + "})";
}

const std::map<int, std::string>& ClusterSpec::find(const std::string& job) const {
  const auto found = jobs_.find(job);
  if (found == jobs_.end())
    throw InvalidArgument("ClusterSpec: no such job '{}' in {}", job, to_string());
  return found->second;
}

}  // namespace cohort::cluster
