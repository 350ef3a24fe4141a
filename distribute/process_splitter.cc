#include "cohort/distribute/process_splitter.h"

#include <algorithm>

#include "cohort/distribute/process_nodes.h"
#include "cohort/distribute/replica_tree.h"
#include "cohort/distribute/split_ranks.h"

namespace cohort::distribute {

ProcessSplitter::ProcessSplitter(ProcessGroupOptions options)
    : options_(std::move(options)), splits_(options_.block_sizes.size(), 0) {}
ProcessSplitter::~ProcessSplitter() = default;

std::unique_ptr<Communicator> ProcessSplitter::split(Communicator& whole, std::string_view axis,
                                                     int color) {
  if (options_.mpi)
    throw Unimplemented(
        "split: got the axis \"{}\" in a group whose hosts are joined by MPI; want TCP or shared "
        "memory",
        axis);
  const std::vector<int> members = ranks_of_color(whole, color);
  std::shared_ptr<Part> part;
  Key key;
  {
    const std::lock_guard lock(mutex_);
    key = {splits_[static_cast<size_t>(whole.rank())]++, members.front()};
    std::shared_ptr<Part>& known = parts_[key];
    if (!known) known = std::make_shared<Part>();
    part = known;
  }
  // Other ranks of this process may have to make another part, which waits for other processes.
  const std::lock_guard lock(part->mutex);
  if (!part->made) make(*part, key, members);
  const auto at = std::find(members.begin(), members.end(), whole.rank()) - members.begin();
  for (auto& communicator : part->ranks.communicators)
    if (communicator && communicator->rank() == at) return std::move(communicator);
  throw Internal("split: rank {} is not in its own part", whole.rank());
}

void ProcessSplitter::make(Part& part, const Key& key, const std::vector<int>& members) {
  part.ranks = make_process_ranks(options_of(key, members));
  part.made = true;
  const std::lock_guard lock(mutex_);
  aborts_.push_back(part.ranks.abort);
  if (error_) part.ranks.abort(*error_);
}

ProcessGroupOptions ProcessSplitter::options_of(const Key& key,
                                                const std::vector<int>& members) const {
  ProcessGroupOptions part = options_;
  part.name = fmt::format("{}/split/{}/{}", options_.name, key.first, key.second);
  part.block_sizes.clear();
  part.process_of.clear();
  part.host_of.clear();
  part.process_names.clear();
  std::vector<int> processes;  // that have members, in the order of their first
  for (const int member : members) {
    const auto rank = static_cast<size_t>(member);
    const int process = options_.process_of[rank];
    auto it = std::find(processes.begin(), processes.end(), process);
    if (it == processes.end()) {
      it = processes.insert(it, process);
      part.host_of.push_back(options_.host_of[static_cast<size_t>(process)]);
      part.process_names.push_back(process_name(options_, process));
    }
    part.process_of.push_back(static_cast<int>(it - processes.begin()));
    part.block_sizes.push_back(options_.block_sizes[rank]);
  }
  (void)combine_order(part.block_sizes);  // throws, on all of them, where they are no tree
  part.process = static_cast<int>(std::find(processes.begin(), processes.end(), options_.process) -
                                  processes.begin());
  return part;
}

void ProcessSplitter::abort(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = error;
  for (const auto& abort : aborts_) abort(error);
}

}  // namespace cohort::distribute
