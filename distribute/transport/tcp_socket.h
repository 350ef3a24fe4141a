#pragma once

#include <netdb.h>

#include <memory>
#include <string>

#include "cohort/cluster/port_range.h"
#include "cohort/distribute/transport/file_descriptor.h"

namespace cohort::distribute {

/// The numeric addresses of a name. `reason` is set where there are none.
struct AddressList {
  AddressList() = default;
  AddressList(const std::string& host, const std::string& port, bool passive);
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> list{nullptr, &freeaddrinfo};
  std::string reason;
};

struct TcpListener {
  FileDescriptor socket;  ///< does not block
  int port = 0;
};

/// Listens at one port of `ports`, at `host` alone. Throws ResourceExhausted when none of them is
/// free, naming who holds the first where that can be seen; Unavailable where the host's address
/// cannot be used.
TcpListener listen_at(const std::string& host, const cluster::PortRange& ports);

/// Begins to connect; the result has errno's meaning: 0 and EINPROGRESS are no failures.
int begin_connect(const addrinfo& address, FileDescriptor& socket);
/// What became of it, once the socket is writable: errno's meaning.
int end_connect(int socket);

/// Small frames at once, and an end to connections whose peer's machine has gone.
void tune(int socket);

}  // namespace cohort::distribute
