#include "cohort/nn/config.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace cohort::nn {
namespace {

constexpr size_t kMaxBytes = size_t{32} << 20;
constexpr size_t kMaxValues = size_t{1} << 20;
constexpr size_t kMaxDepth = 256;
constexpr size_t kMaxMembers = 1024;  // they are looked up one by one

using Json = nlohmann::ordered_json;

/// Builds a Config of what the parser meets; the parser itself has no recursion.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(std::string_view where) : where_(where) {}
  Config take() { return std::move(root_); }

  bool null() override { return add(Config()); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(int64_t{value}); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<uint64_t>(INT64_MAX)) return add(static_cast<double>(value));
    return add(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return add(double{value}); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Config::members()); }
  bool start_array(size_t) override { return open(Config::list()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (open_.back()->find(name)) throw DataLoss("{}: got the name \"{}\" twice", where_, name);
    name_ = std::move(name);
    return true;
  }
  bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception&) override {
    throw DataLoss("{}: got no JSON: it breaks off or is wrong at byte {}", where_, at);
  }

 private:
  bool add(Config value) {
    place(std::move(value));
    return true;
  }
  bool open(Config value) {
    if (open_.size() == kMaxDepth)
      throw ResourceExhausted("{}: got more than {} lists and objects inside each other", where_,
                              kMaxDepth);
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  /// Where it stands until more is put beside it, which happens only when it is closed.
  Config* place(Config value) {
    if (++values_ > kMaxValues)
      throw ResourceExhausted("{}: got more than {} values", where_, kMaxValues);
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Config& outer = *open_.back();
    if (outer.is_object()) {
      if (outer.as_object().size() == kMaxMembers)
        throw ResourceExhausted("{}: got an object with more than {} names", where_, kMaxMembers);
      return &outer.set(name_, std::move(value));
    }
    outer.push_back(std::move(value));
    return const_cast<Config*>(&outer.as_list().back());
  }

  std::string where_;
  Config root_;
  std::vector<Config*> open_;
  std::string name_;
  size_t values_ = 0;
};

Json to_library(const Config& config) {
  if (config.is_null()) return nullptr;
  if (config.is_bool()) return config.as_bool();
  if (config.is_int()) return config.as_int();
  if (config.is_text()) return config.as_text();
  if (config.is_number()) {
    if (!std::isfinite(config.as_number()))
      throw InvalidArgument("config: got the number {}; want a finite one", config.as_number());
    return config.as_number();
  }
  if (config.is_list()) {
    Json list = Json::array();
    for (const Config& each : config.as_list()) list.push_back(to_library(each));
    return list;
  }
  Json object = Json::object();
  for (const auto& [name, value] : config.as_object()) object.emplace(name, to_library(value));
  return object;
}

}  // namespace

std::string Config::kind() const {
  static constexpr const char* kKinds[] = {"nothing", "a truth", "a whole number", "a number",
                                           "a text",  "a list",  "an object"};
  return kKinds[value_.index()];
}

bool Config::as_bool() const {
  if (!is_bool()) throw InvalidArgument("config: got {}; want true or false", kind());
  return std::get<bool>(value_);
}
int64_t Config::as_int() const {
  if (is_int()) return std::get<int64_t>(value_);
  const double* number = std::get_if<double>(&value_);
  if (!number || std::trunc(*number) != *number || std::abs(*number) > 9e15)
    throw InvalidArgument("config: got {}; want a whole number", kind());
  return static_cast<int64_t>(*number);
}
double Config::as_number() const {
  if (is_int()) return static_cast<double>(std::get<int64_t>(value_));
  if (!is_number()) throw InvalidArgument("config: got {}; want a number", kind());
  return std::get<double>(value_);
}
const std::string& Config::as_text() const {
  if (!is_text()) throw InvalidArgument("config: got {}; want a text", kind());
  return std::get<std::string>(value_);
}
const Config::List& Config::as_list() const {
  if (!is_list()) throw InvalidArgument("config: got {}; want a list", kind());
  return std::get<List>(value_);
}
const Config::Members& Config::as_object() const {
  if (!is_object()) throw InvalidArgument("config: got {}; want an object", kind());
  return std::get<Members>(value_);
}

const Config* Config::find(std::string_view name) const {
  if (!is_object()) return nullptr;
  for (const auto& [known, value] : std::get<Members>(value_))
    if (known == name) return &value;
  return nullptr;
}

const Config& Config::at(std::string_view name) const {
  if (const Config* found = find(name)) return *found;
  std::string names;
  for (const auto& [known, value] : as_object()) names += (names.empty() ? "" : ", ") + known;
  throw InvalidArgument("config: got no \"{}\" among {}", name, names.empty() ? "nothing" : names);
}

Config& Config::set(std::string_view name, Config value) {
  if (is_null()) value_ = Members();
  if (Config* found = const_cast<Config*>(find(name))) return *found = std::move(value);
  static_cast<void>(as_object());
  return std::get<Members>(value_).emplace_back(name, std::move(value)).second;
}

void Config::push_back(Config value) {
  if (is_null()) value_ = List();
  static_cast<void>(as_list());
  std::get<List>(value_).push_back(std::move(value));
}

std::string Config::to_json() const {
  try {
    return to_library(*this).dump();
  } catch (const nlohmann::json::exception& error) {
    throw InvalidArgument("config: got a text that is not UTF-8: {}", error.what());
  }
}

Config Config::parse(std::string_view json, std::string_view where) {
  if (json.size() > kMaxBytes)
    throw ResourceExhausted("{}: got {} bytes of JSON; want at most {}", where, json.size(),
                            kMaxBytes);
  Builder builder(where);
  nlohmann::json::sax_parse(json, &builder);
  return builder.take();
}

}  // namespace cohort::nn
