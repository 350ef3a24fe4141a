#pragma once

#include <string>
#include <string_view>

namespace cohort::cluster {

/// The address of this host's interface from which "host:port" is reached, without a port. Throws
/// NotFound when the name does not resolve, with `advice` as resolve(), Unavailable when no
/// interface leads there.
std::string local_address_towards(const std::string& address, std::string_view advice = "");

}  // namespace cohort::cluster
