#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace cohort::cluster {

/// The environment variables of a process, as a value: whoever reads them can be given others.
class Environment {
 public:
  using Variable = std::pair<const std::string, std::string>;

  Environment();
  Environment(const Environment& other);
  Environment(Environment&& other) noexcept;
  Environment& operator=(const Environment& other);
  Environment& operator=(Environment&& other) noexcept;
  ~Environment();
  explicit Environment(std::map<std::string, std::string> variables);
  /// Environment({{"NAME", "value"}})
  explicit Environment(std::initializer_list<Variable> variables);
  /// A copy of this process' own.
  static Environment of_process();

  /// Empty variables are taken as absent, as launchers that clear a variable mean it.
  std::optional<std::string> get(const std::string& name) const;
  bool has(const std::string& name) const { return get(name).has_value(); }
  /// A variable that holds digits alone, `max` at most; nothing where it is absent. Throws
  /// InvalidArgument naming the variable.
  std::optional<int> get_number(const std::string& name, int max) const;

 private:
  std::map<std::string, std::string> variables_;
};

/// The value of a text of digits alone, `max` at most; nothing for any other text.
std::optional<int> parse_number(std::string_view text, int max);

}  // namespace cohort::cluster
