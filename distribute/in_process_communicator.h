#pragma once

#include <memory>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/core/runtime/communicator.h"

namespace cohort::distribute {

struct InProcessOptions {
  /// Logical replicas carried by each rank: fixes the order of addition (replica_tree.h).
  std::vector<int> block_sizes;
  /// How long a rank waits for the others.
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
  /// The ranks that add, each an equal share of the elements; the others wait. Empty: all. Which
  /// ranks add changes no bit.
  std::vector<int> adders = {};
};

/// Communicators of threads of one process, one for each rank; the i-th belongs to the thread that
/// runs the i-th device. Reduction: every rank says that its buffer is ready; each adds its share
/// of the elements over all ranks in tree order and writes the sums into everybody's buffer, so
/// that each cache line moves once; then all have finished. The replica's own thread does the
/// arithmetic, inside wait().
std::vector<std::unique_ptr<Communicator>> make_in_process_communicators(InProcessOptions options);

}  // namespace cohort::distribute
