#include "cohort/distribute/host_table.h"

#include <charconv>
#include <map>

#include "cohort/core/error.h"

namespace cohort::distribute {
namespace {

/// Numbers equal texts alike, from 0 on.
class Numbering {
 public:
  int of(const std::string& text) {
    return numbers_.emplace(text, static_cast<int>(numbers_.size())).first->second;
  }

 private:
  std::map<std::string, int> numbers_;
};

}  // namespace

HostTable HostTable::of(std::span<const std::string> told) {
  Numbering hosts, cores;
  HostTable table;
  for (const std::string& text : told) {
    const size_t end = text.find('\n');
    table.host_of.push_back(hosts.of(text.substr(0, end)));
    table.cores_of.push_back(cores.of(end == std::string::npos ? "" : text.substr(end + 1)));
  }
  return table;
}

std::string HostTable::to_string() const {
  std::string text;
  for (size_t worker = 0; worker < host_of.size(); ++worker)
    text += fmt::format("{} {}\n", host_of[worker], cores_of[worker]);
  return text;
}

HostTable HostTable::parse(std::string_view text, int count) {
  HostTable table;
  const auto number = [&](char end) {
    int value = -1;
    const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const auto length = static_cast<size_t>(at - text.data());
    if (error != std::errc() || value < 0 || length >= text.size() || text[length] != end)
      throw DataLoss("hosts: got a table that ends after {} of {} workers", table.cores_of.size(),
                     count);
    text.remove_prefix(length + 1);
    return value;
  };
  for (int worker = 0; worker < count; ++worker) {
    table.host_of.push_back(number(' '));
    table.cores_of.push_back(number('\n'));
  }
  if (!text.empty()) throw DataLoss("hosts: got a table of more than {} workers", count);
  return table;
}

int HostTable::sharing_cores(int worker) const {
  const auto w = static_cast<size_t>(worker);
  int sharing = 0;
  for (size_t other = 0; other < host_of.size(); ++other)
    if (host_of[other] == host_of[w] && cores_of[other] == cores_of[w]) ++sharing;
  return sharing;
}

}  // namespace cohort::distribute
