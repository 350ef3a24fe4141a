#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/cluster/key_value_store.h"
#include "cohort/cluster/port_range.h"
#include "cohort/cluster/tls.h"
#include "cohort/cluster/wait_board.h"
#include "cohort/core/chrono.h"
#include "cohort/core/runtime/communicator.h"

namespace cohort::distribute {

class MpiWorld;

enum class Transport {
  kAuto,  ///< shared memory among the processes of a host, TCP or MPI between hosts
  kTcp,   ///< TCP between all processes
  kMpi,   ///< MPI between all processes
};

/// A group of ranks in several processes. All processes give the same values but for `process`.
struct ProcessGroupOptions {
  /// Logical replicas carried by every rank: fixes the order of addition (replica_tree.h).
  std::vector<int> block_sizes;
  std::vector<int> process_of;              ///< the process of every rank
  int process = 0;                          ///< this one
  std::vector<std::string> host_of;         ///< of every process; equal: they can share memory
  cluster::KeyValueStore* store = nullptr;  ///< outlives the communicators
  std::string name;                         ///< begins the group's keys; unique for each group
  /// How long the processes take at most to find each other.
  std::chrono::milliseconds startup_timeout = std::chrono::minutes(5);
  /// How long a rank waits for the others while nothing moves, no data anywhere in the group and
  /// no rank to the call, and how long until a warning names the silent one.
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
  std::chrono::milliseconds warn_after = std::chrono::seconds(10);
  /// Of every process, for messages; empty: "process 0", …
  std::vector<std::string> process_names = {};
  Transport transport = Transport::kAuto;
  /// Name or number of this process's machine for the others; TCP listens there alone, at one port
  /// of `ports`, until the group stands.
  std::string address = "127.0.0.1";
  cluster::PortRange ports = {};
  /// TCP is encrypted, and both ends show a certificate that this authority signed; empty: plain
  /// text. The store says which certificate belongs to which process, so the names in it are free.
  cluster::TlsKeys tls = {};
  /// What carries frames between hosts instead of TCP (transport/mpi_world.h); null: TCP does.
  /// Groups are made one at a time then, and a process that is killed is not noticed by itself:
  /// abort() is needed.
  std::shared_ptr<MpiWorld> mpi = nullptr;
  /// Where waits of more than a second are written; may be none.
  std::shared_ptr<cluster::WaitBoard> wait_board = nullptr;
};

/// The communicators of this process's ranks, in rank order. Collective: returns when the processes
/// have found each other through the store. Ranks of one host meet in shared memory. Between hosts
/// the first process of each speaks for its ranks, with one progress thread; all processes of a
/// host must then be in one network.
///
/// The sums have the bits of the tree over logical replicas, whatever carries them. Every rank
/// prepares, starts and waits for the same collectives in the same order. A failure in one wait
/// (DeadlineExceeded naming the silent rank, Unavailable naming one whose process has ended,
/// InvalidArgument where the ranks' calls differ) and abort(error) fail the whole group: every wait
/// of every rank ends with that error, and later calls throw it. Memory goes with the last user,
/// however the processes end.
/// Throws InvalidArgument for options that contradict each other; what the store's job fails with,
/// as soon as it does; DeadlineExceeded naming the processes that did not come and who could not
/// reach whom; ResourceExhausted naming the limit of descriptors, file size or memory that was
/// reached, or without a free port; FailedPrecondition when some processes have keys and others
/// none, this build has no OpenSSL, or MPI, which does not encrypt, is to carry what has keys;
/// PermissionDenied naming a process whose certificate is not
/// accepted.
std::vector<std::unique_ptr<Communicator>> make_process_communicators(
    const ProcessGroupOptions& options);

}  // namespace cohort::distribute
