#include "cohort/core/device.h"

#include <cctype>
#include <charconv>

namespace cohort {
namespace {

int parse_index(std::string_view digits, std::string_view whole) {
  int value = -1;
  const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (status != std::errc() || end != digits.data() + digits.size() || value < 0)
    throw InvalidArgument("device name: got \"{}\" in \"{}\"; want a number", digits, whole);
  return value;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (std::tolower(static_cast<unsigned char>(a[i])) !=
        std::tolower(static_cast<unsigned char>(b[i])))
      return false;
  return true;
}

std::optional<DeviceType> parse_type(std::string_view text) {
  if (equals_ignoring_case(text, "cpu")) return DeviceType::kCPU;
  if (equals_ignoring_case(text, "gpu")) return DeviceType::kGPU;
  return std::nullopt;
}

/// One "key:value" or "device:TYPE:index" part, without its slash.
void parse_part(std::string_view part, std::string_view whole, DeviceName& name) {
  const size_t colon = part.find(':');
  const std::string_view key = part.substr(0, colon);
  std::string_view value = colon == part.npos ? std::string_view() : part.substr(colon + 1);
  if (key == "job" && !value.empty()) {
    name.job = std::string(value);
  } else if (key == "replica" || key == "task") {
    auto& field = key == "task" ? name.task : name.replica;
    if (value != "*") field = parse_index(value, whole);
  } else if (key == "device" || parse_type(key)) {
    std::string_view type = key;
    if (key == "device") {
      const size_t second = value.find(':');
      type = value.substr(0, second);
      value = second == value.npos ? std::string_view("*") : value.substr(second + 1);
    }
    name.type = parse_type(type);
    if (!name.type)
      throw InvalidArgument("device name: got type \"{}\" in \"{}\"; want CPU or GPU", type, whole);
    if (!value.empty() && value != "*") name.index = parse_index(value, whole);
  } else {
    throw InvalidArgument(
        "device name: got \"{}\" in \"{}\"; want /job:J, /replica:R, /task:T, /device:TYPE:I, "
        "/cpu:I or /gpu:I",
        part, whole);
  }
}

}  // namespace

std::string_view device_type_name(DeviceType type) {
  return type == DeviceType::kCPU ? "CPU" : "GPU";
}

DeviceName DeviceName::parse(std::string_view text) {
  DeviceName name;
  std::string_view rest = text;
  while (!rest.empty()) {
    if (rest.front() == '/') rest.remove_prefix(1);
    const size_t end = rest.find('/');
    parse_part(rest.substr(0, end), text, name);
    rest = end == rest.npos ? std::string_view() : rest.substr(end);
  }
  return name;
}

DeviceName DeviceName::merged_with(const DeviceName& defaults) const {
  DeviceName merged = *this;
  if (!merged.job) merged.job = defaults.job;
  if (!merged.replica) merged.replica = defaults.replica;
  if (!merged.task) merged.task = defaults.task;
  if (!merged.type) {
    merged.type = defaults.type;
    if (!merged.index) merged.index = defaults.index;
  }
  return merged;
}

bool DeviceName::matches(const DeviceName& pattern) const {
  const auto agrees = [](const auto& mine, const auto& wanted) {
    return !wanted || mine == wanted;
  };
  return agrees(job, pattern.job) && agrees(replica, pattern.replica) &&
         agrees(task, pattern.task) && agrees(type, pattern.type) && agrees(index, pattern.index);
}

std::string DeviceName::to_string() const {
  std::string text;
  if (job) text += "/job:" + *job;
  if (replica) text += "/replica:" + std::to_string(*replica);
  if (task) text += "/task:" + std::to_string(*task);
  if (type) {
    text += "/device:" + std::string(device_type_name(*type)) + ":";
    text += index ? std::to_string(*index) : "*";
  }
  return text;
}

std::string canonical_device_name(std::string_view text, std::string_view defaults) {
  DeviceName name = DeviceName::parse(text).merged_with(DeviceName::parse(defaults));
  if (!name.replica) name.replica = 0;
  if (!name.task) name.task = 0;
  if (name.type && !name.index) name.index = 0;
  return name.to_string();
}

}  // namespace cohort
