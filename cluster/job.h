#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/cluster/environment.h"
#include "cohort/cluster/port_range.h"
#include "cohort/cluster/task.h"
#include "cohort/cluster/tls.h"

namespace cohort::cluster {

class ClusterResolver;

/// The tasks that train together and how they find each other: all that a program needs of its
/// launcher.
struct Job {
  /// In cluster order: the chief, then the workers by index. tasks[0] leads.
  std::vector<Task> tasks;
  /// This process' position in `tasks`.
  int self = 0;
  /// Where each task listens, by position: "host:port"; "host:0" for any port of that host, to be
  /// published through the leader; "" for any port of the interface that reaches the leader. Ports
  /// that are not 0 are all different on one host.
  std::vector<std::string> addresses;
  /// What people are told when a host of `addresses` does not resolve; see ClusterResolver.
  std::string advice_on_names;
  /// The leader's "host:port". Empty: all tasks are on this host; the leader listens on any port
  /// and publishes its address (JoinOptions::published).
  std::string coordinator;
  /// The same on all tasks and on no other running job of this user.
  std::string job_id;
  /// All tasks are on this host: no coordinator is named, or it and all addresses have one host.
  bool one_host = false;
  bool require_secret = false;  ///< see join.h
  bool reflection = false;
  /// At which this task listens for others' tensors.
  PortRange ports = {};
  /// For all that the tasks send each other; see join.h.
  TlsOptions tls;
  /// One sentence for a person: what described the job.
  std::string why;
};

/// The job that `environment` describes (choose_resolver says in which order it is looked at). An
/// evaluator is a job of its own. On every task:
///   COHORT_COORDINATOR  host:port of the leader, instead of what the description says
///   COHORT_JOB_ID       the job's id, likewise; cohort-launch sets it
///   COHORT_REQUIRE_SECRET=1  a job over several hosts to which no secret was given does not start
///   COHORT_GRPC_REFLECTION=1  the leader serves gRPC's reflection
///   COHORT_PORT_RANGE   first-last: the ports at which this task listens for others' tensors
///   COHORT_TLS_CERTIFICATE_AUTHORITY, COHORT_TLS_CERTIFICATE, COHORT_TLS_PRIVATE_KEY   PEM files
/// The tasks of a TF_CONFIG may have port 0 if they are all on this host and COHORT_JOB_ID is set,
/// or if there is a COHORT_COORDINATOR. In a Slurm step over several nodes the leader's port is
/// made from the job and the step. Throws InvalidArgument for a description that is wrong
/// (addresses, a task that is not in it or is not named, one that is named without a cluster, two
/// tasks at one address, a parameter server), FailedPrecondition for what is missing, as the other
/// workers in TFJob's sparseCluster.
Job resolve_job(const Environment& environment);
/// The same with a description from `resolver`; null: choose_resolver's. The variables above hold
/// as well. A task without a name is the only one of its cluster; the job's id follows from the
/// cluster's addresses where nothing else gives one.
Job resolve_job(const Environment& environment, std::shared_ptr<const ClusterResolver> resolver);

}  // namespace cohort::cluster
