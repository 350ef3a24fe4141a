#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "cluster/key_value_store.h"
#include "distribute/transport/connection.h"

namespace cohort::distribute {

struct TcpMeshOptions {
  cluster::KeyValueStore* store;
  std::string key;                 ///< begins the keys of the addresses
  int node = 0;                    ///< this one
  std::vector<std::string> names;  ///< of all nodes, for messages: their ranks
  /// Name or number under which the others reach this node; it listens there alone.
  std::string address;
  std::chrono::milliseconds timeout;
  std::shared_ptr<const ConnectionMaker> connections;
};

/// A connection to every other node, by node (none to itself). Collective. Each node listens at a
/// free port until all with higher numbers have come, and connects to those with lower ones. Both
/// sides show the secret that the other has put into the store, and the identity; what else comes
/// to the port is dropped. A connection whose peer stays silent for some seconds is closed by the
/// system.
/// Throws DeadlineExceeded naming the nodes that did not come and why, Unavailable where the
/// address cannot be used, and what the store throws. FailedPrecondition when some nodes use TLS
/// and others do not, PermissionDenied when one does not accept another's certificate: both on all
/// nodes, at once.
std::vector<std::unique_ptr<Connection>> connect_mesh(const TcpMeshOptions& options);

}  // namespace cohort::distribute
