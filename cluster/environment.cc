#include "cohort/cluster/environment.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "cohort/core/error.h"

namespace cohort::cluster {

Environment::Environment() = default;
Environment::Environment(const Environment&) = default;
Environment::Environment(Environment&&) noexcept = default;
Environment& Environment::operator=(const Environment&) = default;
Environment& Environment::operator=(Environment&&) noexcept = default;
Environment::~Environment() = default;

Environment::Environment(std::map<std::string, std::string> variables)
    : variables_(std::move(variables)) {}
Environment::Environment(std::initializer_list<Variable> variables)
    : variables_(variables.begin(), variables.end()) {}

Environment Environment::of_process() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return Environment(std::move(variables));
}

std::optional<std::string> Environment::get(const std::string& name) const {
  const auto found = variables_.find(name);
  if (found == variables_.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

std::optional<int> Environment::get_number(const std::string& name, int max) const {
  const std::optional<std::string> text = get(name);
  if (!text) return std::nullopt;
  const std::optional<int> number = parse_number(*text, max);
  if (!number)
    throw InvalidArgument("environment: got {}='{}'; want a number from 0 to {}", name, *text, max);
  return number;
}

std::optional<int> parse_number(std::string_view text, int max) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(),
                                                   [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || error != std::errc() || number > max) return std::nullopt;
  return number;
}

}  // namespace cohort::cluster
