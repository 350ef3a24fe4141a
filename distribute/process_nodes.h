#pragma once

#include <string>
#include <vector>

#include "cohort/distribute/process_group.h"
#include "cohort/distribute/transport/network_layout.h"

namespace cohort::distribute {

/// The nodes of a process group: processes that share memory. The first process of each speaks for
/// it. The same on every process.
struct ProcessNodes {
  explicit ProcessNodes(const ProcessGroupOptions& options);

  std::vector<int> node_of;                    ///< of every process
  std::vector<std::vector<int>> processes_of;  ///< of every node
};

NetworkLayout network_layout(const ProcessGroupOptions& options, const ProcessNodes& nodes);

/// "/job:worker/task:1", or "process 1"; "rank 3 (/job:worker/task:1)".
std::string process_name(const ProcessGroupOptions& options, int process);
std::string rank_name(const ProcessGroupOptions& options, size_t rank);

}  // namespace cohort::distribute
