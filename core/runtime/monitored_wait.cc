#include "cohort/core/runtime/monitored_wait.h"

#include <algorithm>

namespace cohort {

std::shared_ptr<MonitoredWait::Monitor> MonitoredWait::add(Monitor monitor) const {
  auto owner = std::make_shared<Monitor>(std::move(monitor));
  const std::lock_guard lock(mutex_);
  std::erase_if(monitors_, [](const auto& each) { return each.expired(); });
  monitors_.push_back(owner);
  return owner;
}

bool MonitoredWait::has_monitors() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(monitors_.begin(), monitors_.end(),
                     [](const auto& each) { return !each.expired(); });
}

void MonitoredWait::call_monitors(std::chrono::milliseconds waited) const {
  std::vector<std::shared_ptr<Monitor>> alive;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& each : monitors_)
      if (auto monitor = each.lock()) alive.push_back(std::move(monitor));
  }
  for (const auto& monitor : alive) (*monitor)(waited);
}

}  // namespace cohort
