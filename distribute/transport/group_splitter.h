#pragma once

#include <memory>
#include <string_view>

#include "cohort/core/runtime/communicator.h"

namespace cohort::distribute {

/// Makes the parts of a group of processes, for its ranks of this process.
class GroupSplitter {
 public:
  virtual ~GroupSplitter() = default;
  /// As Communicator::split, on `whole`.
  virtual std::unique_ptr<Communicator> split(Communicator& whole, std::string_view axis,
                                              int color) = 0;
  /// Ends the waits in all parts. Any thread.
  virtual void abort(const Error& error) = 0;
};

}  // namespace cohort::distribute
