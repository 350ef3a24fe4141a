#include "cohort/cluster/address.h"

#include <algorithm>
#include <optional>

#include "cohort/cluster/environment.h"
#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

constexpr size_t kMaxHostLength = 255;  // RFC 1035

bool is_host_character(char c) { return c > ' ' && c < 0x7f && c != '/' && c != ','; }

int parse_port(std::string_view port, std::string_view text) {
  const std::optional<int> number = parse_number(port, 65535);
  if (!number)
    throw InvalidArgument("address: got '{}' with port '{}'; want a port from 0 to 65535", text,
                          port);
  return *number;
}

}  // namespace

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

bool on_one_host(const std::vector<std::string>& addresses) {
  std::vector<std::string> hosts;
  for (const std::string& address : addresses) {
    if (address.empty()) return false;
    hosts.push_back(parse_address(address).host);
  }
  return std::all_of(hosts.begin(), hosts.end(), is_loopback) ||
         std::all_of(hosts.begin(), hosts.end(),
                     [&](const auto& host) { return host == hosts[0]; });
}

std::string Address::to_string() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Address parse_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.ends_with(']'))
    throw InvalidArgument("address: got '{}', which has no port; want host:port", text);
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of(":[]") != std::string_view::npos) {
    throw InvalidArgument("address: got '{}'; want host:port, or [address]:port for IPv6", text);
  }
  if (host.empty() || host.size() > kMaxHostLength ||
      !std::all_of(host.begin(), host.end(), is_host_character))
    throw InvalidArgument("address: got '{}', whose host is '{}'; want the name of a host", text,
                          host);
  return {.host = std::string(host), .port = parse_port(text.substr(colon + 1), text)};
}

}  // namespace cohort::cluster
