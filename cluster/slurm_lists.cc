#include "cohort/cluster/slurm_lists.h"

#include <algorithm>

#include "cohort/cluster/environment.h"
#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

constexpr size_t kMaxListBytes = 16 << 20;
constexpr size_t kMaxHostBytes = 255;  // RFC 1035
constexpr int kMaxHostNumber = 999'999'999;

// What an error shows of a list.
std::string_view beginning(std::string_view list) { return list.substr(0, 200); }

Error bad_hostlist(std::string_view list, std::string_view why) {
  return InvalidArgument("Invalid hostlist format \"{}\": {}", beginning(list), why);
}

// Calls take(part) for the parts between commas outside of brackets.
template <class Take>
void split(std::string_view list, Take&& take) {
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i] == '[') ++depth;
    if (list[i] == ']') --depth;
    if (depth < 0 || depth > 1) throw bad_hostlist(list, "brackets do not match");
    if (list[i] == ',' && depth == 0) {
      take(list.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  if (depth != 0) throw bad_hostlist(list, "a bracket is not closed");
  take(list.substr(begin));
}

// "3-5,08" as 3, 4, 5, 08, with the leading zeros of each range's beginning.
std::vector<std::string> expand_ranges(std::string_view ranges, std::string_view list) {
  std::vector<std::string> numbers;
  split(ranges, [&](std::string_view range) {
    const size_t dash = range.find('-');
    const std::string_view first = range.substr(0, dash);
    const std::string_view last = dash == std::string_view::npos ? first : range.substr(dash + 1);
    const auto from = parse_number(first, kMaxHostNumber);
    const auto to = parse_number(last, kMaxHostNumber);
    if (!from || !to || *to < *from) throw bad_hostlist(list, "want ranges such as [1-3,07]");
    if (*to - *from >= kMaxSlurmNodes - static_cast<int>(numbers.size()))
      throw bad_hostlist(list, "more than 65536 nodes");
    for (int number = *from; number <= *to; ++number) {
      std::string digits = std::to_string(number);
      if (digits.size() < first.size()) digits.insert(0, first.size() - digits.size(), '0');
      numbers.push_back(std::move(digits));
    }
  });
  return numbers;
}

// The names of one part, such as "r[1-2]n[3-4]".
std::vector<std::string> expand_part(std::string_view part, std::string_view list) {
  std::vector<std::string> names = {""};
  while (!part.empty()) {
    const size_t open = part.find('[');
    const std::string_view text = part.substr(0, open);
    std::vector<std::string> numbers = {""};
    if (open == std::string_view::npos) {
      part = {};
    } else {
      const size_t close = part.find(']', open);
      numbers = expand_ranges(part.substr(open + 1, close - open - 1), list);
      part.remove_prefix(close + 1);
    }
    if (names.size() * numbers.size() > kMaxSlurmNodes)
      throw bad_hostlist(list, "more than 65536 nodes");
    if (names[0].size() + text.size() + numbers[0].size() > kMaxHostBytes)
      throw bad_hostlist(list, "a name of more than 255 characters");
    std::vector<std::string> longer;
    longer.reserve(names.size() * numbers.size());
    for (const std::string& name : names)
      for (const std::string& number : numbers) longer.push_back(name + std::string(text) + number);
    names = std::move(longer);
  }
  return names;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_' || c == '[' || c == ']' || c == ',';
}

}  // namespace

std::vector<std::string> expand_hostlist(std::string_view list) {
  if (list.size() > kMaxListBytes) throw bad_hostlist(list, "more than 16 MiB");
  if (!std::all_of(list.begin(), list.end(), is_name_character))
    throw bad_hostlist(list, "a character that no host's name has");
  std::vector<std::string> hosts;
  split(list, [&](std::string_view part) {
    if (part.empty()) throw bad_hostlist(list, "a name is empty");
    std::vector<std::string> names = expand_part(part, list);
    if (hosts.size() + names.size() > kMaxSlurmNodes)
      throw bad_hostlist(list, "more than 65536 nodes");
    std::move(names.begin(), names.end(), std::back_inserter(hosts));
  });
  return hosts;
}

std::vector<int> expand_tasks_per_node(std::string_view list) {
  const auto bad = [&](std::string_view why) {
    return InvalidArgument("Invalid tasks-per-node list format \"{}\": {}", beginning(list), why);
  };
  std::vector<int> tasks;
  long total = 0;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t comma = std::min(list.find(',', begin), list.size());
    std::string_view part = list.substr(begin, comma - begin);
    begin = comma + 1;
    std::optional<int> repeat = 1;
    if (const size_t open = part.find("(x"); open != std::string_view::npos) {
      if (!part.ends_with(')')) throw bad("want such as 3(x2),2,1");
      repeat = parse_number(part.substr(open + 2, part.size() - open - 3), kMaxSlurmNodes);
      part = part.substr(0, open);
    }
    const std::optional<int> count = parse_number(part, kMaxSlurmTasks);
    if (!count || !repeat) throw bad("want such as 3(x2),2,1");
    total += static_cast<long>(*count) * *repeat;
    if (tasks.size() + *repeat > kMaxSlurmNodes || total > kMaxSlurmTasks)
      throw bad("more than 65536 nodes or 1048576 tasks");
    tasks.insert(tasks.end(), *repeat, *count);
  }
  return tasks;
}

}  // namespace cohort::cluster
