#include "cohort/nn/internal/names.h"

#include <algorithm>
#include <cctype>
#include <unordered_map>
#include <vector>

namespace cohort::nn::internal {
namespace {

/// A part of the thread's scopes: the names that are taken in the program's outermost scope.
std::unordered_map<std::string, int>& name_counts() {
  thread_local std::unordered_map<std::string, int> counts;
  return counts;
}

}  // namespace

void check_name(std::string_view where, std::string_view what, std::string_view name,
                std::initializer_list<std::string_view> known) {
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  const std::string place = std::string(where) + ": " + std::string(what);
  throw_unknown(place, name, {known.begin(), known.size()});
}

void throw_unknown(std::string_view where, std::string_view name,
                   std::span<const std::string_view> known) {
  std::string list;
  for (const std::string_view entry : known) {
    if (!list.empty()) list += ", ";
    list += entry;
  }
  throw InvalidArgument("{}: got \"{}\"; want one of {}", where, name, list);
}

// Keras: an underscore between a lower-case letter or digit and an upper-case letter that begins a
// word; runs of capitals stay together.
std::string to_snake_case(std::string_view camel) {
  const auto upper = [&](size_t i) { return std::isupper(static_cast<unsigned char>(camel[i])); };
  const auto lower = [&](size_t i) { return std::islower(static_cast<unsigned char>(camel[i])); };
  std::string snake;
  for (size_t i = 0; i < camel.size(); ++i) {
    const bool word_begins = i > 0 && upper(i) && i + 1 < camel.size() && lower(i + 1);
    const bool after_lower = i > 0 && upper(i) && lower(i - 1);
    if (word_begins || after_lower) snake += '_';
    snake += static_cast<char>(std::tolower(static_cast<unsigned char>(camel[i])));
  }
  return snake;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

bool is_class_name(std::string_view name) {
  return !name.empty() && std::isupper(static_cast<unsigned char>(name[0])) &&
         name.find('_') == std::string_view::npos;
}

std::string unique_name(const std::string& base) {
  const int used = name_counts()[base]++;
  return used == 0 ? base : base + "_" + std::to_string(used);
}

void reset_names() { name_counts().clear(); }

}  // namespace cohort::nn::internal
