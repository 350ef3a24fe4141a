#include "cohort/distribute/process_nodes.h"

#include <map>

namespace cohort::distribute {

std::string process_name(const ProcessGroupOptions& options, int process) {
  if (options.process_names.empty()) return "process " + std::to_string(process);
  return options.process_names[static_cast<size_t>(process)];
}

std::string rank_name(const ProcessGroupOptions& options, size_t rank) {
  return "rank " + std::to_string(rank) + " (" + process_name(options, options.process_of[rank]) +
         ")";
}

ProcessNodes::ProcessNodes(const ProcessGroupOptions& options) {
  std::map<std::string, int> numbers;
  for (size_t process = 0; process < options.host_of.size(); ++process) {
    const std::string host =
        options.transport == Transport::kAuto ? options.host_of[process] : std::to_string(process);
    const auto [it, inserted] = numbers.emplace(host, static_cast<int>(numbers.size()));
    if (inserted) processes_of.emplace_back();
    node_of.push_back(it->second);
    processes_of[static_cast<size_t>(it->second)].push_back(static_cast<int>(process));
  }
}

NetworkLayout network_layout(const ProcessGroupOptions& options, const ProcessNodes& nodes) {
  NetworkLayout layout{.block_sizes = options.block_sizes};
  layout.ranks_of.resize(nodes.processes_of.size());
  for (size_t rank = 0; rank < options.process_of.size(); ++rank) {
    const int process = options.process_of[rank];
    const int node = nodes.node_of[static_cast<size_t>(process)];
    layout.node_of.push_back(node);
    layout.ranks_of[static_cast<size_t>(node)].push_back(static_cast<int>(rank));
    layout.rank_names.push_back(rank_name(options, rank));
  }
  return layout;
}

}  // namespace cohort::distribute
