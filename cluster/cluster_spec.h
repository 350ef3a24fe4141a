#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cohort/cluster/task.h"

namespace cohort::cluster {

/// The jobs of a cluster, each a set of tasks with their addresses, as in tf.train.ClusterSpec. A
/// value. A job is dense (tasks 0, 1, …) or sparse (some indices are not taken). Addresses are kept
/// as they were given; whoever listens or connects reads them with parse_address.
class ClusterSpec {
 public:
  using DenseJobs = std::map<std::string, std::vector<std::string>>;
  using SparseJobs = std::map<std::string, std::map<int, std::string>>;
  /// No task may have a higher index: what is read from outside must not size memory.
  static constexpr int kMaxIndex = (1 << 20) - 1;

  ClusterSpec();
  ClusterSpec(const ClusterSpec& other);
  ClusterSpec(ClusterSpec&& other) noexcept;
  ClusterSpec& operator=(const ClusterSpec& other);
  ClusterSpec& operator=(ClusterSpec&& other) noexcept;
  ~ClusterSpec();
  /// ClusterSpec({{"chief", {"a:2222"}}, {"worker", {"b:2222", "c:2222"}}})
  ClusterSpec(std::initializer_list<DenseJobs::value_type> jobs);
  explicit ClusterSpec(const DenseJobs& jobs);
  /// Addresses by task index. Throws InvalidArgument for an index outside 0 … kMaxIndex.
  static ClusterSpec sparse(const SparseJobs& jobs);

  /// Has no jobs. A job without tasks is a job.
  bool empty() const;
  bool has_job(const std::string& job) const;
  bool has_task(const Task& task) const;
  /// The names, sorted.
  std::vector<std::string> jobs() const;

  // These throw InvalidArgument for a job that is not there.
  int num_tasks(const std::string& job) const;
  /// Ascending.
  std::vector<int> task_indices(const std::string& job) const;
  /// The addresses by index, nothing where a sparse job has no task.
  std::vector<std::optional<std::string>> job_tasks(const std::string& job) const;
  /// Throws InvalidArgument for a task that is not there, too.
  const std::string& task_address(const std::string& job, int index) const;
  const std::string& task_address(const Task& task) const {
    return task_address(task.type, task.index);
  }

  const SparseJobs& as_map() const { return jobs_; }
  /// ClusterSpec({'ps': ['ps0:1111'], 'worker': ['worker0:3333', 'worker1:4444']}); a sparse job as
  /// {0: 'a0:1', 3: 'a3:1'}, one without tasks as {}.
  std::string to_string() const;
  bool operator==(const ClusterSpec& other) const;

 private:
  const std::map<int, std::string>& find(const std::string& job) const;

  SparseJobs jobs_;
};

}  // namespace cohort::cluster
