#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cohort::launch {

struct Host {
  std::string name;
  int slots = 1;  // workers that it takes
  bool operator==(const Host&) const = default;
};

/// "a,b:2" as a with one slot and b with two. Throws InvalidArgument.
std::vector<Host> parse_hosts(std::string_view list);

/// A host per line, "a", "a:2" or "a slots=2"; # begins a comment. Throws InvalidArgument naming
/// the line.
std::vector<Host> parse_hostfile(std::string_view text);

/// Whether `name` is this machine.
bool is_this_host(const std::string& name);

}  // namespace cohort::launch
