#include "cohort/cluster/mpi_cluster_resolver.h"

#include <vector>

#include "cohort/cluster/address.h"
#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

constexpr int kMaxRanks = ClusterSpec::kMaxIndex + 1;

// The variables of one kind of launcher; of several the first that is set counts.
using Names = std::vector<const char*>;
struct Variables {
  const char* launcher;
  const char* rank;
  Names size;
  Names local_size;
};

std::optional<Variables> find_launcher(const Environment& environment) {
  const Variables launchers[] = {
      {"Open MPI",
       "OMPI_COMM_WORLD_RANK",
       {"OMPI_COMM_WORLD_SIZE"},
       {"OMPI_COMM_WORLD_LOCAL_SIZE"}},
      {"PMI", "PMI_RANK", {"PMI_SIZE"}, {"MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"}},
      {"PMIx",
       "PMIX_RANK",
       {"PMIX_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"},
       {"PMIX_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}},
  };
  for (const Variables& variables : launchers)
    if (environment.has(variables.rank)) return variables;
  return std::nullopt;
}

std::optional<int> first_number(const Environment& environment, const Names& names) {
  for (const char* name : names)
    if (const auto number = environment.get_number(name, kMaxRanks)) return number;
  return std::nullopt;
}

}  // namespace

bool MpiClusterResolver::applies(const Environment& environment) {
  return find_launcher(environment).has_value();
}

MpiClusterResolver::MpiClusterResolver(Environment environment)
    : environment_(std::move(environment)) {
  const std::optional<Variables> variables = find_launcher(environment_);
  if (!variables)
    throw FailedPrecondition(
        "MPI: none of OMPI_COMM_WORLD_RANK, PMI_RANK, PMIX_RANK in environment. "
        "Not started by mpirun?");
  launcher_ = variables->launcher;
  rank_ = *environment_.get_number(variables->rank, kMaxRanks);
  const std::optional<int> size = first_number(environment_, variables->size);
  if (!size)
    throw FailedPrecondition("MPI: got {}={} but no {} in environment; want the number of ranks",
                             variables->rank, rank_, variables->size[0]);
  size_ = *size;
  if (size_ < 1 || rank_ >= size_)
    throw InvalidArgument("MPI: got rank {} of {} ({}); want a rank below the size", rank_, size_,
                          launcher_);
  // A launcher that says nothing of hosts may have used several.
  local_size_ = first_number(environment_, variables->local_size).value_or(size_ == 1 ? 1 : 0);
  if (local_size_ > size_)
    throw InvalidArgument("MPI: got {} ranks on this host of {} in all ({})", local_size_, size_,
                          launcher_);
  coordinator_ = environment_.get("COHORT_COORDINATOR").value_or("");
  if (!coordinator_.empty()) parse_address(coordinator_);
  if (!one_host() && coordinator_.empty())
    throw FailedPrecondition(
        "MPI: {} of {} ranks run on this host ({}), and its variables hold no addresses; want "
        "COHORT_COORDINATOR=host:port on every rank, host being that of rank 0 (mpirun -x "
        "COHORT_COORDINATOR, or launch/mpirun.sh, which sets it)",
        local_size_, size_, launcher_);
}

ClusterSpec MpiClusterResolver::cluster_spec() const {
  std::vector<std::string> addresses(size_, one_host() ? "127.0.0.1:0" : "");
  if (!coordinator_.empty()) addresses[0] = coordinator_;
  return ClusterSpec({{"worker", std::move(addresses)}});
}

std::string MpiClusterResolver::job_id() const {
  const auto first = [&](const Names& names) -> std::string {
    for (const char* name : names)
      if (const auto value = environment_.get(name)) return *value;
    return "";
  };
  const std::string job = first({"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "PMI_JOBID"});
  // Open MPI's number is a hash of 16 bits. What tells its jobs of one host apart for certain is
  // not known to be equal on several.
  const std::string launcher = one_host() ? first({"OMPI_MCA_orte_hnp_uri", "PMI_KVSNAME"}) : "";
  return launcher.empty() ? job : job + " " + launcher;
}

std::optional<std::string> MpiClusterResolver::given_master(const TaskOverrides& asked) const {
  const std::string type = asked.task_type.value_or("worker");
  if (cluster_spec().task_address(type, asked.task_id.value_or(rank_)).empty()) return "";
  return std::nullopt;
}

std::optional<std::string> MpiClusterResolver::task_type() const { return "worker"; }

std::optional<int> MpiClusterResolver::task_id() const { return rank_; }

std::optional<std::string> MpiClusterResolver::rpc_layer() const { return "grpc"; }

Accelerators MpiClusterResolver::num_accelerators(const std::optional<std::string>&,
                                                  std::optional<int>) const {
  return {};
}

}  // namespace cohort::cluster
