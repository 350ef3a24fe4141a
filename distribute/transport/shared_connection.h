#pragma once

#include <memory>
#include <string>

#include "cohort/distribute/transport/connection.h"

namespace cohort::distribute {

/// Where processes of this host find each other: a socket under a random name, which those of other
/// hosts, or of another network namespace, do not reach. It leaves nothing behind.
struct LocalListener {
  FileDescriptor socket;  ///< does not block
  std::string name;
};
LocalListener listen_locally();
/// Nothing where nobody listens under that name here.
FileDescriptor connect_locally(const std::string& name);

/// Bytes through two rings in memory that both processes map; the caller makes it. The socket
/// carries the memory, then a byte for each end that sleeps, and its end.
std::unique_ptr<Connection> make_shared_connection(FileDescriptor socket, Side side);

}  // namespace cohort::distribute
