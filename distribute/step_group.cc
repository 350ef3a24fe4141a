#include "cohort/distribute/step_group.h"

namespace cohort::distribute {

GroupRanks::GroupRanks(std::vector<std::unique_ptr<Communicator>> communicators, Workers& workers)
    : communicators_(std::move(communicators)) {
  for (const auto& communicator : communicators_) watches_.push_back(workers.watch(*communicator));
}

uint64_t GroupRanks::network_bytes() const {
  uint64_t bytes = 0;
  for (const auto& communicator : communicators_) bytes += communicator->stats().network_bytes;
  return bytes;
}

std::shared_ptr<void> GroupRanks::add_step(std::function<void()> drop) {
  const std::lock_guard lock(mutex_);
  const auto it = drops_.insert(drops_.end(), std::move(drop));
  return std::shared_ptr<void>(this, [this, it](void*) {
    const std::lock_guard guard(mutex_);
    drops_.erase(it);
  });
}

bool GroupRanks::recover() {
  const std::lock_guard lock(mutex_);
  for (const auto& drop : drops_) drop();
  return communicators_.front()->reset();
}

}  // namespace cohort::distribute
