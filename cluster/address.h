#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cohort::cluster {

/// Where a task listens.
struct Address {
  std::string host;  // a name or an IP address; IPv6 without brackets
  int port = 0;      // 0: whatever the system picks, to be published

  /// "host:port", IPv6 in brackets: what parse_address reads.
  std::string to_string() const;
  bool operator==(const Address&) const = default;
};

/// Whether a host's name or address is this machine's own, which others cannot reach.
bool is_loopback(const std::string& host);

/// Whether tasks that listen at these addresses are on one host: all have the same host, or one
/// that is_loopback. "" is an address that nobody knows yet.
bool on_one_host(const std::vector<std::string>& addresses);

/// Reads "host:port" or "[::1]:2222". Throws InvalidArgument when there is no port, no host, an
/// IPv6 address without brackets, or a port outside 0 … 65535.
Address parse_address(std::string_view text);

}  // namespace cohort::cluster
