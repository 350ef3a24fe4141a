#include "launch/hosts.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "cohort/cluster/environment.h"
#include "cohort/core/error.h"

namespace cohort::launch {
namespace {

constexpr int kMaxSlots = 4096;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_' || c == '@';
}

int parse_slots(std::string_view slots, std::string_view text) {
  const auto number = cluster::parse_number(slots, kMaxSlots);
  if (!number || *number == 0)
    throw InvalidArgument("hosts: got '{}'; want 1 to {} slots", text, kMaxSlots);
  return *number;
}

Host parse_host(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  // A name that begins with '-' would be an option of ssh.
  if (name.empty() || name[0] == '-' || !std::all_of(name.begin(), name.end(), is_name_character))
    throw InvalidArgument("hosts: got '{}'; want NAME or NAME:SLOTS", text);
  const int slots = colon == std::string_view::npos ? 1 : parse_slots(text.substr(colon + 1), text);
  return {.name = std::string(name), .slots = slots};
}

}  // namespace

std::vector<Host> parse_hosts(std::string_view list) {
  std::vector<Host> hosts;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t comma = std::min(list.find(',', begin), list.size());
    hosts.push_back(parse_host(list.substr(begin, comma - begin)));
    begin = comma + 1;
  }
  return hosts;
}

std::vector<Host> parse_hostfile(std::string_view text) {
  std::vector<Host> hosts;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string name, more, rest;
    if (!(words >> name)) continue;
    Host host = parse_host(name);
    if (words >> more) {
      if (!more.starts_with("slots=") || words >> rest)
        throw InvalidArgument("hostfile: got '{}'; want NAME slots=N", line);
      host.slots = parse_slots(std::string_view(more).substr(6), line);
    }
    hosts.push_back(std::move(host));
  }
  if (hosts.empty()) throw InvalidArgument("hostfile: got no host");
  return hosts;
}

bool is_this_host(const std::string& name) {
  std::array<char, 256> own{};
  ::gethostname(own.data(), own.size() - 1);
  return name == "localhost" || name == "127.0.0.1" || name == own.data();
}

}  // namespace cohort::launch
