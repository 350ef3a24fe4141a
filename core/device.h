#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cohort/core/error.h"

namespace cohort {

enum class DeviceType { kCPU, kGPU };
std::string_view device_type_name(DeviceType type);  // "CPU", "GPU"

/// A full or partial device name in TensorFlow's syntax:
/// "/job:worker/replica:0/task:1/device:GPU:0", short forms "/gpu:0", "gpu:0", "/task:1/cpu:0",
/// partial forms "/job:worker", "/device:GPU:*".
struct DeviceName {
  std::optional<std::string> job;
  std::optional<int> replica;
  std::optional<int> task;
  std::optional<DeviceType> type;
  std::optional<int> index;

  /// Throws InvalidArgument that says which part is wrong. "" is the empty (fully partial) name.
  static DeviceName parse(std::string_view text);
  /// Fields that this lacks are taken from `defaults`.
  DeviceName merged_with(const DeviceName& defaults) const;
  /// True when every field that `pattern` has is equal here.
  bool matches(const DeviceName& pattern) const;
  /// "/job:worker/replica:0/task:1/device:GPU:0", absent fields left out.
  std::string to_string() const;
  bool operator==(const DeviceName&) const = default;
};

/// parse(text), then absent fields from parse(defaults), then replica 0, task 0 and, where a type
/// is known, index 0: "/job:worker/cpu:0" is "/job:worker/replica:0/task:0/device:CPU:0".
std::string canonical_device_name(std::string_view text, std::string_view defaults = "");

}  // namespace cohort
