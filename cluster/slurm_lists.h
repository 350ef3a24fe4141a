#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cohort::cluster {

// The lists in Slurm's variables. Order is kept: task 0 runs on the first node. Nothing grows
// beyond these limits, whatever the text says.
inline constexpr int kMaxSlurmNodes = 1 << 16;
inline constexpr int kMaxSlurmTasks = 1 << 20;

/// "n[1-2],m5,o[08-10]" as n1, n2, m5, o08, o09, o10. A name may have several ranges
/// ("r[1-2]n[1-4]", the last varies fastest) and text after them. Throws InvalidArgument "Invalid
/// hostlist format".
std::vector<std::string> expand_hostlist(std::string_view list);

/// "3(x2),2,1" as 3, 3, 2, 1. Throws InvalidArgument "Invalid tasks-per-node list format".
std::vector<int> expand_tasks_per_node(std::string_view list);

}  // namespace cohort::cluster
