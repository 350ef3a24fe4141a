#pragma once

#include <memory>
#include <string>

#include "cohort/cluster/cluster_resolver.h"
#include "cohort/cluster/tls.h"
#include "cohort/core/chrono.h"

namespace cohort::cluster {

class Membership;  // cluster/membership.h

struct ServerOptions {
  ClusterSpec cluster = {};
  std::string job_name = {};      ///< may be left out when the cluster has one job
  int task_index = -1;            ///< may be left out when that job has one task
  std::string protocol = "grpc";  ///< of the control plane; there is no other
  bool start = true;
  /// The same on all tasks and on no other job. Wanted when the first task's port is 0.
  std::string job_id = {};
  /// What all tasks know and strangers do not; empty: as JoinOptions::secret has it, with one_host
  /// where the addresses of the tasks that meet have one host.
  std::string secret = {};
  std::string version = {};
  std::chrono::milliseconds startup_timeout = std::chrono::minutes(5);
  std::chrono::milliseconds heartbeat_interval = std::chrono::seconds(1);
  std::chrono::milliseconds dead_after = std::chrono::seconds(5);
  TlsOptions tls = {};
  bool reflection = false;  ///< serve gRPC's reflection too, to whoever asks
};

/// A task of a cluster that others can reach, as tf.distribute.Server: it listens at its own
/// address of the cluster spec, and at no other, with gRPC's health service, and takes its seat
/// among all the cluster's tasks but evaluators, who are clusters of their own. The first task
/// (chief, worker, then the other jobs by name) leads. A port may be 0: the system picks one, and
/// the tasks learn it from each other; the first task's only when all are on one host. Thread-safe.
class Server {
 public:
  /// Throws InvalidArgument when the job or task is not in the cluster, or is left out and not the
  /// only one, or an address or the protocol is wrong; and what start() throws.
  explicit Server(ServerOptions options);
  /// The task and the cluster that `resolver` describes, as far as the options do not name them.
  explicit Server(const ClusterResolver& resolver, ServerOptions options = {});
  /// A cluster of this process alone, at any port of localhost.
  static std::unique_ptr<Server> create_local_server(bool start = true);
  /// Ends without leaving, unless join() or stop() has: a death in the others' eyes.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Listens, and joins the others in the background. Nothing when it has started. Throws
  /// AlreadyExists naming a port in use, FailedPrecondition when it has been stopped, when the
  /// address is none of this machine's, or when this build has no gRPC.
  void start();
  /// "grpc://host:port", with the port that it got. Throws FailedPrecondition before the start.
  std::string target() const;
  const Task& task() const;
  /// Waits until every task has its seat. Throws what join_cluster does.
  Membership& membership();
  /// Where another task listens. Waits, `timeout` at most, for one whose port was 0.
  std::string task_address(const Task& task, std::chrono::milliseconds timeout);

  /// Serves until the cluster finishes: returns when every task has called join or stop, or this
  /// one stop, on another thread. Throws the cluster's error.
  void join();
  /// Leaves the cluster, waits for the others to do so for `timeout`, and frees the port. Ends a
  /// start-up that is under way, and a join on another thread, at once. Throws DeadlineExceeded
  /// naming who stays, or the cluster's error; it has stopped in any case.
  void stop(std::chrono::milliseconds timeout = std::chrono::seconds(10));

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cohort::cluster
