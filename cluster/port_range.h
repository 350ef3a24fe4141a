#pragma once

#include <string>
#include <string_view>

namespace cohort::cluster {

/// Ports that a process may listen at.
struct PortRange {
  int first = 0;  ///< 0: any that the system picks
  int last = 0;

  bool any() const { return first == 0; }
  std::string to_string() const;
  bool operator==(const PortRange&) const = default;
};

/// Reads "first-last", or one port, as in the variable COHORT_PORT_RANGE. Throws InvalidArgument
/// for any other text, a port outside 1 … 65535, and a first one behind the last.
PortRange parse_port_range(std::string_view text);

}  // namespace cohort::cluster
