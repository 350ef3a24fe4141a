#pragma once

#include <memory>
#include <string>

#include "cohort/cluster/cluster_resolver.h"
#include "cohort/cluster/environment.h"

namespace cohort::cluster {

/// Who started this process.
enum class Launcher { kTFConfig, kMpi, kSlurm, kIndexedJob, kNone };

struct ChosenResolver {
  Launcher launcher;
  std::unique_ptr<ClusterResolver> resolver;
  std::string why;  // one sentence for a person: which and why
};

/// The resolver for what stands in `environment`, the first of:
///   TF_CONFIG             TFConfigClusterResolver (by hand, cohort-launch, TFJob)
///   srun's own task       SlurmClusterResolver: its variables agree with PMI's, or there are none
///   OMPI_, PMI_, PMIX_    MpiClusterResolver, within a Slurm allocation too: the step there is
///                         mpirun's daemon
///   JOB_COMPLETION_INDEX  IndexedJobClusterResolver, if COHORT_SERVICE is set as well
///   nothing               one worker, alone
/// Throws what the resolver's constructor throws. Slurm's ports are any (port_base 0).
ChosenResolver choose_resolver(const Environment& environment);

}  // namespace cohort::cluster
