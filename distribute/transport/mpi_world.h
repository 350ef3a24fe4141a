#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cohort/cluster/environment.h"
#include "cohort/cluster/key_value_store.h"
#include "cohort/core/chrono.h"
#include "cohort/distribute/transport/connection.h"

namespace cohort::distribute {

/// The processes that an MPI launcher has started together, this one among them. Their traffic has
/// a communicator of its own, so the program's own MPI calls are free. When the last user lets it
/// go, it ends MPI, if it has begun it and nothing failed; the other processes then do so too.
/// Thread-safe.
class MpiWorld {
 public:
  virtual ~MpiWorld() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// A connection with another process, which makes its end with the same tag. A write is one
  /// message for each part and takes all or nothing; the peer reads the same parts, each with one
  /// size. A write or a read that came to nothing must be repeated with the same memory before any
  /// other, and uses it meanwhile. It has no descriptor: it is polled. It does not see that the
  /// peer has died.
  virtual std::unique_ptr<Connection> connect(int rank, int tag) = 0;
  /// Some process has failed: MPI is left as it is at the end, since ending it waits for all.
  virtual void give_up() = 0;

  /// No connection of this process has this tag or a higher one.
  std::atomic<int> next_tag{1};
};

struct MpiStart {
  bool launched = false;  ///< by mpirun or its like, as the environment tells
  std::chrono::milliseconds timeout{};
  std::function<void()> check;  ///< called now and then while it waits; throws what ends the wait
};

/// Begins MPI, or takes it as the program has begun it. Collective among the launcher's processes.
/// Throws FailedPrecondition when this build has no MPI, nobody has started the processes for MPI,
/// MPI has ended already or does not allow calls from all threads; DeadlineExceeded when the others
/// do not come.
std::shared_ptr<MpiWorld> start_mpi(
    const cluster::Environment& environment, std::chrono::milliseconds timeout,
    std::function<void()> check = [] {});

/// What the module libcohort_mpi does for this library: all of MPI is in there.
struct MpiModule {
  std::shared_ptr<MpiWorld> (*start)(const MpiStart&) = nullptr;
};

/// What the module exports, `extern "C"`, under the name kMpiEntry.
using MpiEntry = void (*)(MpiModule&);
inline constexpr const char* kMpiEntry = "cohort_mpi_module";

struct MpiMeshOptions {
  cluster::KeyValueStore* store;
  std::string key;                 ///< begins the keys of the ranks
  int node = 0;                    ///< this one
  std::vector<std::string> names;  ///< of all nodes, for messages
  MpiWorld* world = nullptr;
  std::chrono::milliseconds timeout;
};

/// A connection to every other node, by node (none to itself). Collective; one at a time in each
/// process. Throws DeadlineExceeded naming a node that did not come, InvalidArgument when two nodes
/// have one rank, and what the store throws.
std::vector<std::unique_ptr<Connection>> connect_by_mpi(const MpiMeshOptions& options);

}  // namespace cohort::distribute
