#include "cohort/distribute/abort_switch.h"

namespace cohort::distribute {

AbortSwitch::Entry::Entry(AbortSwitch& owner, Communicator& communicator)
    : owner_(owner), communicator_(communicator) {
  const std::lock_guard lock(owner_.mutex_);
  owner_.communicators_.insert(&communicator_);
  if (owner_.error_) communicator_.abort(*owner_.error_);
}

AbortSwitch::Entry::~Entry() {
  const std::lock_guard lock(owner_.mutex_);
  owner_.communicators_.erase(&communicator_);
}

void AbortSwitch::fail(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = error;
  for (Communicator* communicator : communicators_) communicator->abort(error);
}

}  // namespace cohort::distribute
