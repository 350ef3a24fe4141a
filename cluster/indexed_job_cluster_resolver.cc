#include "cohort/cluster/indexed_job_cluster_resolver.h"

#include "cohort/cluster/address.h"
#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

constexpr int kDefaultPort = 2222;

Error absent(const char* name, const char* what) {
  return FailedPrecondition("Kubernetes Indexed Job: no {} in environment; want {}", name, what);
}

}  // namespace

IndexedJobClusterResolver::IndexedJobClusterResolver(const Environment& environment) {
  const auto index = environment.get_number("JOB_COMPLETION_INDEX", ClusterSpec::kMaxIndex);
  if (!index)
    throw absent("JOB_COMPLETION_INDEX", "a Job with completionMode: Indexed, which sets it");
  const auto count = environment.get_number("COHORT_NUM_WORKERS", ClusterSpec::kMaxIndex + 1);
  if (!count) throw absent("COHORT_NUM_WORKERS", "the Job's number of completions");
  if (*index >= *count)
    throw InvalidArgument(
        "Kubernetes Indexed Job: got JOB_COMPLETION_INDEX={} and "
        "COHORT_NUM_WORKERS={}; want an index below the number",
        *index, *count);
  const auto service = environment.get("COHORT_SERVICE");
  if (!service) throw absent("COHORT_SERVICE", "the name of the headless Service");
  const auto hostname = environment.get("HOSTNAME");
  if (!hostname) throw absent("HOSTNAME", "the pod's host name");
  const std::string suffix = "-" + std::to_string(*index);
  if (!hostname->ends_with(suffix) || hostname->size() == suffix.size())
    throw InvalidArgument("Kubernetes Indexed Job: got HOSTNAME='{}'; want the Job's name and '{}'",
                          *hostname, suffix);
  const std::string job = hostname->substr(0, hostname->size() - suffix.size());
  const int port = environment.get_number("COHORT_PORT", 65535).value_or(kDefaultPort);

  index_ = *index;
  std::vector<std::string> addresses;
  for (int i = 0; i < *count; ++i)
    addresses.push_back(
        Address{.host = job + "-" + std::to_string(i) + "." + *service, .port = port}.to_string());
  spec_ = ClusterSpec({{"worker", std::move(addresses)}});
}

ClusterSpec IndexedJobClusterResolver::cluster_spec() const { return spec_; }

std::optional<std::string> IndexedJobClusterResolver::task_type() const { return "worker"; }

std::optional<int> IndexedJobClusterResolver::task_id() const { return index_; }

std::optional<std::string> IndexedJobClusterResolver::rpc_layer() const { return "grpc"; }

std::string IndexedJobClusterResolver::environment() const { return "cloud"; }

Accelerators IndexedJobClusterResolver::num_accelerators(const std::optional<std::string>&,
                                                         std::optional<int>) const {
  return {};
}

}  // namespace cohort::cluster
