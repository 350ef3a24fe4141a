#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace cohort::cluster {

/// "host:port" taken apart: a name, an IPv4 address, or an IPv6 address without its brackets.
struct Endpoint {
  std::string host;
  int port = 0;

  std::string to_string() const;  ///< an IPv6 address in brackets
};

/// Throws InvalidArgument, saying that a port is wanted, for anything else.
Endpoint parse_endpoint(const std::string& address);

/// The numeric addresses of `endpoint`, in the system's order. Throws NotFound with the system's
/// reason when the name does not resolve.
std::vector<Endpoint> resolve(const Endpoint& endpoint);

/// Whether something accepts connections at a numeric address: empty, or why not ("connection
/// refused", "no answer in 2000 ms").
std::string try_connect(const Endpoint& numeric, std::chrono::milliseconds timeout);

/// Throws AlreadyExists when a numeric address cannot be listened at because its port is in use,
/// FailedPrecondition with the system's reason otherwise; both name the address.
void check_listenable(const Endpoint& numeric);

}  // namespace cohort::cluster
