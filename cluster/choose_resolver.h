#pragma once

#include <memory>
#include <string>

#include "cohort/cluster/cluster_resolver.h"
#include "cohort/cluster/environment.h"

namespace cohort::cluster {

/// Who started this process.
enum class Launcher { kTFConfig, kMpi, kSlurm, kIndexedJob, kProgram, kNone };

struct ChosenResolver {
  Launcher launcher;
  std::shared_ptr<const ClusterResolver> resolver;
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
/// The program's own choice. The launcher is the one whose description the resolver reads, and
/// kProgram for the others. Throws InvalidArgument for null.
ChosenResolver choose_resolver(std::shared_ptr<const ClusterResolver> resolver);

}  // namespace cohort::cluster
