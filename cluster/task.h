#pragma once

#include <compare>
#include <string>

namespace cohort::cluster {

/// A process of a job, such as `worker` 1.
struct Task {
  std::string type;
  int index = 0;

  /// "/job:worker/task:1"
  std::string to_string() const { return "/job:" + type + "/task:" + std::to_string(index); }
  auto operator<=>(const Task&) const = default;
};

}  // namespace cohort::cluster
