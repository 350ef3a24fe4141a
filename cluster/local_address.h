#pragma once

#include <string>

namespace cohort::cluster {

/// The address of this host's interface from which "host:port" is reached, without a port. Throws
/// NotFound when the name does not resolve, Unavailable when no interface leads there.
std::string local_address_towards(const std::string& address);

}  // namespace cohort::cluster
