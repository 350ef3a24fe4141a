#pragma once

#include <memory>

#include "cohort/core/runtime/function.h"

namespace cohort {
class VariableState;
}

namespace cohort::distribute {

/// Gives a placed trace that commits anything one commit more: 1 is added to `number`, an i64
/// scalar, with everything else or not at all. Any other trace stays as it is.
Trace count_commits(const Trace& placed, const std::shared_ptr<VariableState>& number);

}  // namespace cohort::distribute
