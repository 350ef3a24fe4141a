#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/cluster/key_value_store.h"
#include "cohort/cluster/port_range.h"
#include "cohort/core/chrono.h"
#include "cohort/distribute/transport/connection.h"

namespace cohort::distribute {

struct TcpMeshOptions {
  cluster::KeyValueStore* store;
  std::string key;                 ///< begins the keys of the addresses
  int node = 0;                    ///< this one
  std::vector<std::string> names;  ///< of all nodes, for messages: their ranks
  /// Name or number under which the others reach this node; it listens there alone.
  std::string address;
  cluster::PortRange ports = {};  ///< that it may listen at
  std::chrono::milliseconds timeout;
  std::shared_ptr<const ConnectionMaker> connections;
};

/// A connection to every other node, by node (none to itself). Collective. Each node listens until
/// all with higher numbers have come, and connects to those with lower ones. Both sides show the
/// secret that the other has put into the store, and the identity; what else comes to the port is
/// dropped. A connection whose peer stays silent for some seconds is closed by the system. A node
/// that waits says every five seconds whom it cannot reach where and why, or who has not come.
/// Throws, as soon as the job fails, its failure; DeadlineExceeded naming who could not reach whom
/// where and why, on all nodes; Unavailable where the address cannot be used; ResourceExhausted
/// without a free port or descriptor. FailedPrecondition when some nodes use TLS and others do not,
/// PermissionDenied when one does not accept another's certificate: both on all nodes, at once.
std::vector<std::unique_ptr<Connection>> connect_mesh(const TcpMeshOptions& options);

}  // namespace cohort::distribute
