#pragma once

#include <string>

#include "cohort/cluster/cluster_resolver.h"
#include "cohort/cluster/environment.h"

namespace cohort::cluster {

/// A rank that mpirun started (Open MPI, MPICH's Hydra, PMI or PMIx), from the variables it sets:
/// OMPI_COMM_WORLD_*, else PMI_* with MPI_LOCAL*, else PMIX_RANK with what sizes there are. All
/// ranks are workers. The variables hold no addresses: ranks of one host have "127.0.0.1:0"; with
/// more hosts worker 0 has COHORT_COORDINATOR (host:port, the same on every rank) and the others
/// "", any port.
class MpiClusterResolver final : public ClusterResolver {
 public:
  /// Throws FailedPrecondition where there is no rank or no size, and where there are several hosts
  /// but no COHORT_COORDINATOR; InvalidArgument for values that contradict each other.
  explicit MpiClusterResolver(Environment environment = Environment::of_process());

  /// Whether the variables of a launcher that this reads are there.
  static bool applies(const Environment& environment);

  ClusterSpec cluster_spec() const override;
  std::optional<std::string> task_type() const override;
  std::optional<int> task_id() const override;
  std::optional<std::string> rpc_layer() const override;
  /// The variables know of none.
  Accelerators num_accelerators(const std::optional<std::string>& = {},
                                std::optional<int> = {}) const override;

  int size() const { return size_; }
  bool one_host() const { return local_size_ == size_; }
  /// Which variables: "Open MPI", "PMI" or "PMIx".
  const std::string& launcher() const { return launcher_; }
  /// The same on all ranks of this mpirun and on no others: what the launcher calls the job. Empty
  /// where it sets no such variable.
  std::string job_id() const;

 private:
  /// "" for a rank without an address.
  std::optional<std::string> given_master(const TaskOverrides& asked) const override;

  Environment environment_;
  std::string launcher_;
  int rank_ = 0;
  int size_ = 0;
  int local_size_ = 0;
  std::string coordinator_;  // COHORT_COORDINATOR
};

}  // namespace cohort::cluster
