#include "cohort/cluster/choose_resolver.h"

#include <fmt/format.h>

#include "cohort/cluster/indexed_job_cluster_resolver.h"
#include "cohort/cluster/mpi_cluster_resolver.h"
#include "cohort/cluster/simple_cluster_resolver.h"
#include "cohort/cluster/slurm_cluster_resolver.h"
#include "cohort/cluster/tf_config_cluster_resolver.h"
#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

// The batch script and what it starts without srun have SLURM_PROCID, but no step.
bool is_slurm_step(const Environment& environment) {
  return environment.has("SLURM_STEP_ID") && environment.has("SLURM_STEP_NUM_TASKS") &&
         environment.has("SLURM_PROCID");
}

// Whether MPI's variables speak of the tasks of the Slurm step (srun --mpi=...), not of ranks that
// a daemon in the step has started.
bool step_is_mpi_job(const Environment& environment) {
  if (environment.has("OMPI_COMM_WORLD_RANK")) return false;
  const auto rank =
      environment.has("PMI_RANK") ? environment.get("PMI_RANK") : environment.get("PMIX_RANK");
  const auto size = environment.get("PMI_SIZE");
  return rank == environment.get("SLURM_PROCID") &&
         (!size || size == environment.get("SLURM_STEP_NUM_TASKS"));
}

Launcher launcher_of(const ClusterResolver& resolver) {
  if (dynamic_cast<const TFConfigClusterResolver*>(&resolver)) return Launcher::kTFConfig;
  if (dynamic_cast<const SlurmClusterResolver*>(&resolver)) return Launcher::kSlurm;
  if (dynamic_cast<const MpiClusterResolver*>(&resolver)) return Launcher::kMpi;
  if (dynamic_cast<const IndexedJobClusterResolver*>(&resolver)) return Launcher::kIndexedJob;
  return Launcher::kProgram;
}

std::string why_alone(const Environment& environment) {
  if (environment.has("SLURM_JOB_ID"))
    return "one worker: this is a Slurm job's own script, not a task that srun started";
  return "one worker: nothing in the environment names a cluster";
}

}  // namespace

ChosenResolver choose_resolver(const Environment& environment) {
  if (environment.has("TF_CONFIG"))
    return {Launcher::kTFConfig, std::make_unique<TFConfigClusterResolver>(environment),
            "TF_CONFIG: it is set"};

  const bool mpi = MpiClusterResolver::applies(environment);
  if (is_slurm_step(environment) && (!mpi || step_is_mpi_job(environment)))
    return {Launcher::kSlurm,
            std::make_unique<SlurmClusterResolver>(environment, SlurmOptions{.port_base = 0}),
            fmt::format("Slurm: srun started this as task {} of {}",
                        environment.get("SLURM_PROCID").value_or(""),
                        environment.get("SLURM_STEP_NUM_TASKS").value_or(""))};
  if (mpi) {
    auto resolver = std::make_unique<MpiClusterResolver>(environment);
    std::string why = fmt::format("{}: mpirun started this as rank {} of {}", resolver->launcher(),
                                  *resolver->task_id(), resolver->size());
    return {Launcher::kMpi, std::move(resolver), std::move(why)};
  }
  if (environment.has("JOB_COMPLETION_INDEX") && environment.has("COHORT_SERVICE"))
    return {Launcher::kIndexedJob, std::make_unique<IndexedJobClusterResolver>(environment),
            "Kubernetes: JOB_COMPLETION_INDEX and COHORT_SERVICE are set"};
  return {Launcher::kNone,
          std::make_unique<SimpleClusterResolver>(
              ClusterSpec({{"worker", {"127.0.0.1:0"}}}),
              SimpleClusterOptions{.task_type = "worker", .task_id = 0}),
          why_alone(environment)};
}

ChosenResolver choose_resolver(std::shared_ptr<const ClusterResolver> resolver) {
  if (!resolver) throw InvalidArgument("cluster_resolver: got none; want a resolver");
  const Launcher launcher = launcher_of(*resolver);
  return {launcher, std::move(resolver), "cluster_resolver: the program has given one"};
}

}  // namespace cohort::cluster
