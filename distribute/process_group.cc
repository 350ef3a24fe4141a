#include "distribute/process_group.h"

#include <algorithm>

#include "distribute/transport/shared_memory.h"

namespace cohort::distribute {
namespace {

void check(const ProcessGroupOptions& options) {
  const size_t size = options.block_sizes.size();
  const auto num_processes = static_cast<int>(options.host_of.size());
  if (size == 0 || options.process_of.size() != size)
    throw InvalidArgument(
        "process group: got {} block sizes and processes of {} ranks; want one of "
        "each for every rank",
        size, options.process_of.size());
  for (size_t rank = 0; rank < size; ++rank) {
    if (options.block_sizes[rank] < 1)
      throw InvalidArgument("process group: got {} replicas on rank {}; want at least 1",
                            options.block_sizes[rank], rank);
    if (options.process_of[rank] < 0 || options.process_of[rank] >= num_processes)
      throw InvalidArgument("process group: got process {} for rank {}; want one of {} processes",
                            options.process_of[rank], rank, num_processes);
  }
  for (int process = 0; process < num_processes; ++process)
    if (std::find(options.process_of.begin(), options.process_of.end(), process) ==
        options.process_of.end())
      throw InvalidArgument("process group: got no rank of process {}; want at least one", process);
  if (options.process < 0 || options.process >= num_processes)
    throw InvalidArgument("process group: got process {}; want one of {}", options.process,
                          num_processes);
  if (!options.process_names.empty() && options.process_names.size() != options.host_of.size())
    throw InvalidArgument("process group: got {} names; want one for each of {} processes",
                          options.process_names.size(), num_processes);
  if (!options.store || options.name.empty())
    throw InvalidArgument("process group: got no store or no name; want both");
}

std::string process_name(const ProcessGroupOptions& options, int process) {
  if (options.process_names.empty()) return "process " + std::to_string(process);
  return options.process_names[static_cast<size_t>(process)];
}

/// The part of the group on this process's host.
HostGroupOptions host_part(const ProcessGroupOptions& options) {
  const std::string& host = options.host_of[static_cast<size_t>(options.process)];
  HostGroupOptions part{.group_size = static_cast<int>(options.block_sizes.size()),
                        .store = options.store,
                        .timeout = options.timeout,
                        .warn_after = options.warn_after};
  std::vector<int> place(options.host_of.size(), -1);
  for (size_t process = 0; process < options.host_of.size(); ++process) {
    if (options.host_of[process] != host) continue;
    place[process] = static_cast<int>(part.process_names.size());
    if (part.process_names.empty()) part.key = options.name + "/host/" + std::to_string(process);
    part.process_names.push_back(process_name(options, static_cast<int>(process)));
  }
  part.process = place[static_cast<size_t>(options.process)];
  for (size_t rank = 0; rank < options.process_of.size(); ++rank) {
    const int at = place[static_cast<size_t>(options.process_of[rank])];
    if (at < 0) continue;
    part.ranks.push_back(static_cast<int>(rank));
    part.process_of.push_back(at);
  }
  return part;
}

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_process_communicators(
    const ProcessGroupOptions& options) {
  check(options);
  for (const std::string& host : options.host_of)
    if (host != options.host_of.front())
      throw Unimplemented("process group: got processes on several hosts; want one host");
  const auto group = std::make_shared<HostGroup>(host_part(options));
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (size_t rank = 0; rank < options.process_of.size(); ++rank)
    if (options.process_of[rank] == options.process)
      ranks.push_back(
          make_shared_memory_communicator(group, static_cast<int>(rank), options.block_sizes));
  return ranks;
}

}  // namespace cohort::distribute
