#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "cluster/key_value_store.h"
#include "distribute/transport/file_descriptor.h"

namespace cohort::distribute {

struct TcpMeshOptions {
  cluster::KeyValueStore* store;
  std::string key;                 ///< begins the keys of the addresses
  int node = 0;                    ///< this one
  std::vector<std::string> names;  ///< of all nodes, for messages: their ranks
  /// Name or number under which the others reach this node; it listens there alone.
  std::string address;
  std::chrono::milliseconds timeout;
};

/// A connection to every other node, by node (none to itself), non-blocking. Collective. Each node
/// listens at a free port until all with higher numbers have come, and connects to those with lower
/// ones. Both sides show the secret that the other has put into the store; what else comes to the
/// port is dropped. A connection whose peer stays silent for some seconds is closed by the system.
/// Throws DeadlineExceeded naming the nodes that did not come and why, Unavailable where the
/// address cannot be used, and what the store throws.
std::vector<FileDescriptor> connect_mesh(const TcpMeshOptions& options);

}  // namespace cohort::distribute
