#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/core/placement.h"
#include "cohort/distribute/communication_options.h"
#include "cohort/distribute/sharding.h"
#include "cohort/distribute/strategy.h"

namespace cohort::cluster {
class ClusterResolver;  // cluster/cluster_resolver.h
}

namespace cohort::distribute {

struct MultiWorkerMirroredOptions {
  /// Who takes part and which task this process is. Null: what the environment says (TF_CONFIG,
  /// Slurm, mpirun or Kubernetes, cluster/job.h); with nothing there, this process alone.
  std::shared_ptr<const cluster::ClusterResolver> cluster_resolver = {};
  /// Devices of this worker, as for MirroredStrategy; every worker has equally many. Empty: all
  /// GPUs, or else all logical CPU devices. Workers that share a host and its cores divide the
  /// cores among themselves, unless logical devices were set before; those that see the same GPUs
  /// divide them equally, in order of worker. A GPU carries one worker's replicas only.
  std::vector<std::string> devices = {};
  /// Logical replicas of all workers together, spread over all devices in contiguous blocks, the
  /// devices of worker 0 first; 0: one for each device. A job keeps its number for life; results do
  /// not depend on how many devices and workers carry it.
  int num_replicas = 0;
  /// The replicas as a grid with named axes, whose sizes multiply to their number; so far "data"
  /// alone. Empty: {{"data", num_replicas}}.
  std::vector<MeshAxis> mesh = {};
  /// Packs of 4 MiB, and 10 minutes for a worker in a step to wait for peers that live but are
  /// late, unless said otherwise. GPUs have NCCL and nothing else. MPI: all workers are processes
  /// of one mpirun, or of srun --mpi=pmix; MPI is begun unless the program has done so, with
  /// MPI_THREAD_MULTIPLE. Equal on all workers.
  CommunicationOptions communication_options = {};
  /// What all devices of all workers divide among themselves; equal bits either way.
  /// Then a read of an optimizer's slot is a call that all workers make.
  Sharding sharding = Sharding::kNone;
  /// The directory of a job's checkpoints: this start of it takes what its bits depend on from the
  /// newest one, if there is one; the chief reads it: the number of logical replicas where
  /// num_replicas is 0, the seed, and the threads of the CPU device where the program has not
  /// chosen devices. "": that of the environment's COHORT_RESUME_FROM, or none.
  std::string resume_from = "";
  /// How long the workers wait for each other at the start, and when they connect for a new step.
  std::chrono::milliseconds startup_timeout = std::chrono::minutes(5);
};

/// Synchronous training on the devices of several processes, one copy of every variable on each
/// device. Waits until all workers are there.
///
/// Every worker runs the same program. Variables start with the chief's values, and the chief's
/// random seed holds everywhere. When a worker dies, fails or leaves, every other gets an error
/// that names it: Unavailable for a death.
///
/// Throws InvalidArgument for a wrong environment or devices, DeadlineExceeded naming the workers
/// that did not come or could not reach each other, ResourceExhausted naming a limit of the process
/// that was reached, FailedPrecondition when the workers' programs differ, or there is no MPI
/// where it is wanted.
Strategy MultiWorkerMirroredStrategy(MultiWorkerMirroredOptions options = {});

}  // namespace cohort::distribute
