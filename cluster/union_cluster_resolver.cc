#include "cohort/cluster/union_cluster_resolver.h"

#include <set>

#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

// Jobs that are sparse in at least one of the specifications.
std::set<std::string> sparse_jobs(const std::vector<ClusterSpec>& specs) {
  std::set<std::string> sparse;
  for (const ClusterSpec& spec : specs)
    for (const auto& [job, tasks] : spec.as_map())
      if (!tasks.empty() && tasks.rbegin()->first >= static_cast<int>(tasks.size()))
        sparse.insert(job);
  return sparse;
}

}  // namespace

UnionClusterResolver::UnionClusterResolver(
    std::vector<std::shared_ptr<const ClusterResolver>> resolvers, TaskOverrides overrides)
    : resolvers_(std::move(resolvers)), overrides_(std::move(overrides)) {
  if (resolvers_.empty())
    throw InvalidArgument("UnionClusterResolver: got no resolver; want one at least");
  for (const auto& resolver : resolvers_)
    if (resolver == nullptr) throw InvalidArgument("UnionClusterResolver: got a null resolver");
}

ClusterSpec UnionClusterResolver::cluster_spec() const {
  std::vector<ClusterSpec> specs;
  for (const auto& resolver : resolvers_) specs.push_back(resolver->cluster_spec());
  const std::set<std::string> sparse = sparse_jobs(specs);
  ClusterSpec::SparseJobs merged;
  for (const ClusterSpec& spec : specs) {
    for (const auto& [job, tasks] : spec.as_map()) {
      auto& into = merged[job];
      const int offset = sparse.contains(job) ? 0 : static_cast<int>(into.size());
      for (const auto& [index, address] : tasks)
        if (!into.emplace(offset + index, address).second)
          throw AlreadyExists("UnionClusterResolver: two resolvers have task {} of job '{}'", index,
                              job);
    }
  }
  return ClusterSpec::sparse(merged);
}

std::optional<std::string> UnionClusterResolver::task_type() const {
  return overrides_.task_type ? overrides_.task_type : first().task_type();
}

std::optional<int> UnionClusterResolver::task_id() const {
  return overrides_.task_id ? overrides_.task_id : first().task_id();
}

std::optional<std::string> UnionClusterResolver::rpc_layer() const {
  return overrides_.rpc_layer ? overrides_.rpc_layer : first().rpc_layer();
}

std::optional<std::string> UnionClusterResolver::given_master(const TaskOverrides& asked) const {
  if (asked.task_type || asked.task_id || overrides_.task_type || overrides_.task_id)
    return std::nullopt;
  return first().master({}, {}, asked.rpc_layer ? asked.rpc_layer : overrides_.rpc_layer);
}

Accelerators UnionClusterResolver::num_accelerators(const std::optional<std::string>& task_type,
                                                    std::optional<int> task_id) const {
  return first().num_accelerators(task_type, task_id);
}

std::string UnionClusterResolver::environment() const { return first().environment(); }

const ClusterResolver& UnionClusterResolver::first() const { return *resolvers_.front(); }

}  // namespace cohort::cluster
