#include "cohort/cluster/port_range.h"

#include "cohort/cluster/environment.h"
#include "cohort/core/error.h"

namespace cohort::cluster {

std::string PortRange::to_string() const { return fmt::format("{}-{}", first, last); }

PortRange parse_port_range(std::string_view text) {
  constexpr int kMaxPort = 65535;
  const size_t dash = text.find('-');
  const auto first = parse_number(text.substr(0, dash), kMaxPort);
  const auto last =
      dash == std::string_view::npos ? first : parse_number(text.substr(dash + 1), kMaxPort);
  if (!first || !last || *first == 0 || *first > *last)
    throw InvalidArgument("COHORT_PORT_RANGE: got '{}'; want first-last, ports from 1 to {}", text,
                          kMaxPort);
  return {*first, *last};
}

}  // namespace cohort::cluster
