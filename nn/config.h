#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cohort/core/error.h"

namespace cohort::nn {

/// What describes an object, as JSON has it: nothing, a truth, a whole number, a number, a text, a
/// list of values, or values by name, in their order.
class Config {
 public:
  using List = std::vector<Config>;
  using Members = std::vector<std::pair<std::string, Config>>;

  Config() = default;
  Config(bool value) : value_(value) {}                           // NOLINT
  Config(int value) : value_(int64_t{value}) {}                   // NOLINT
  Config(int64_t value) : value_(value) {}                        // NOLINT
  Config(double value) : value_(value) {}                         // NOLINT
  Config(const char* value) : value_(std::string(value)) {}       // NOLINT
  Config(std::string_view value) : value_(std::string(value)) {}  // NOLINT
  Config(std::string value) : value_(std::move(value)) {}         // NOLINT
  Config(List values) : value_(std::move(values)) {}              // NOLINT
  Config(Members values) : value_(std::move(values)) {}           // NOLINT
  static Config list(List values = {}) { return Config(std::move(values)); }
  static Config members(Members values = {}) { return Config(std::move(values)); }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_int() const { return std::holds_alternative<int64_t>(value_); }
  bool is_number() const { return is_int() || std::holds_alternative<double>(value_); }
  bool is_text() const { return std::holds_alternative<std::string>(value_); }
  bool is_list() const { return std::holds_alternative<List>(value_); }
  bool is_object() const { return std::holds_alternative<Members>(value_); }

  // Throw InvalidArgument, which says what is there, for another kind.
  bool as_bool() const;
  int64_t as_int() const;
  double as_number() const;
  const std::string& as_text() const;
  const List& as_list() const;
  const Members& as_object() const;

  /// Null where this is no object, or has no such name.
  const Config* find(std::string_view name) const;
  /// InvalidArgument, which lists the names, where it lacks.
  const Config& at(std::string_view name) const;
  /// Of an object, which nothing becomes.
  Config& set(std::string_view name, Config value);
  void push_back(Config value);

  bool operator==(const Config&) const = default;

  /// InvalidArgument for numbers that are not finite and texts that are not UTF-8, which JSON
  /// lacks.
  std::string to_json() const;
  /// Of JSON from anywhere: at most 32 MiB of it, 2^20 values, 1,024 names in an object and 256
  /// lists and objects inside each other, ResourceExhausted otherwise; DataLoss where it is no
  /// JSON, or a name stands twice. Both begin with `where`.
  static Config parse(std::string_view json, std::string_view where);

 private:
  std::string kind() const;
  std::variant<std::monostate, bool, int64_t, double, std::string, List, Members> value_;
};

}  // namespace cohort::nn
