#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "cohort/cluster/membership.h"
#include "cohort/cluster/tls.h"
#include "cohort/cluster/wait_board.h"
#include "cohort/core/chrono.h"

namespace cohort::cluster {

struct JoinOptions {
  /// Who takes part, the same list on every task. The first one leads: it serves the others.
  std::vector<Task> tasks;
  int self = 0;  ///< index in `tasks`
  /// "host:port" of the leader, which listens at this address only. Port 0 is for the leader
  /// itself: it takes a free one, and on_bound tells it.
  std::string coordinator;
  /// All tasks are on this host and `coordinator` is not needed: the leader takes a free port of
  /// the loopback interface and publishes its address until all have come (publication.h); the
  /// others read it there, again at each attempt, so that they find a leader that was started
  /// again.
  bool published = false;
  /// Of the tasks, for messages, and to find names that do not resolve. May be empty.
  std::vector<std::string> addresses;
  /// What people are told about such names; see ClusterResolver.
  std::string advice_on_names;
  /// Tasks of another job that come to this leader are sent away.
  std::string job_id;
  /// What all tasks know and strangers do not (job_secret.h); empty: none was given.
  std::string secret;
  /// Whether all tasks are processes of one user on this host. Then, where no secret was given, the
  /// leader makes one, which the others find in the user's runtime folder.
  bool one_host = false;
  /// Without any secret: true refuses to start; false warns once, on the leader, if there is no TLS
  /// either, for then whoever reaches it and knows the job's id can take a seat.
  bool require_secret = false;
  bool reflection = false;  ///< the leader serves gRPC's reflection, to whoever asks
  /// Of the program: whatever must be equal on all tasks. A task with another one is refused.
  std::string version;
  std::chrono::milliseconds startup_timeout = std::chrono::minutes(5);
  std::chrono::milliseconds heartbeat_interval = std::chrono::seconds(1);
  /// A task, or the leader, that is silent for so long is dead.
  std::chrono::milliseconds dead_after = std::chrono::seconds(5);
  TlsOptions tls;
  /// What this task waits for, told to the leader with every heartbeat; may be none. A circle of
  /// waits that lasts fails the cluster with FailedPrecondition, which tells each task's part in
  /// it.
  std::shared_ptr<const WaitBoard> wait_board;
  /// The leader listens even when it is the only task.
  bool listen_alone = false;
  /// Ends the start-up, and later every wait of the membership, with Cancelled.
  std::stop_token stop;
  /// The leader: called once with the address it listens at, before it waits for the others.
  std::function<void(const std::string& address)> on_bound;
  /// Gets a line for people every `report_every` while tasks are missing and, on the leader, about
  /// every barrier that has waited for 10 s; none: standard error. From any thread.
  std::function<void(const std::string& line)> log;
  std::chrono::milliseconds report_every = std::chrono::seconds(5);
};

/// Takes this task's seat in the cluster and returns when every task has its own. In the leader's
/// process the membership also serves the others, until it is destroyed.
///
/// A task that cannot reach the leader, or finds no address of it, keeps trying, and says why.
/// After startup_timeout: DeadlineExceeded with the tasks that are missing and why. InvalidArgument
/// when the leader belongs to another job; PermissionDenied when the two do not know the same
/// secret; AlreadyExists when this task is there already, naming where; FailedPrecondition when
/// this task runs another version than the leader, when one of the two uses TLS or has a secret and
/// the other does not, or when this build has no gRPC (a cluster of one task needs none);
/// Unavailable naming a task that died meanwhile; Aborted when one was restarted. AlreadyExists
/// from the leader when its port is in use. ResourceExhausted naming the limit of descriptors or
/// addresses, before anything is sent, when too few are left to take part.
///
/// A failed cluster stays so: Unavailable (a dead task, found at once when its connection breaks
/// and after `dead_after` otherwise, plus one heartbeat at most) and Aborted mean that all tasks
/// start again. A task that comes to a failed cluster's leader for the first time is told at once,
/// with Aborted; one that comes back waits for a new leader.
std::unique_ptr<Membership> join_cluster(const JoinOptions& options);

}  // namespace cohort::cluster
