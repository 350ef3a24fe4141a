#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "cohort/distribute/process_group.h"
#include "cohort/distribute/transport/group_splitter.h"

namespace cohort::distribute {

/// The ranks of this process in a group, and what ends all of its waits, from any thread.
struct ProcessRanks {
  std::vector<std::unique_ptr<Communicator>> communicators;
  std::function<void(const Error&)> abort;
};
ProcessRanks make_process_ranks(const ProcessGroupOptions& options);

/// Parts of a group of processes are groups of processes: they find each other through the same
/// store.
class ProcessSplitter final : public GroupSplitter {
 public:
  /// `options`: of the whole group.
  explicit ProcessSplitter(ProcessGroupOptions options);
  ~ProcessSplitter() override;

  std::unique_ptr<Communicator> split(Communicator& whole, std::string_view axis,
                                      int color) override;
  void abort(const Error& error) override;

 private:
  /// One part that ranks of this process take.
  struct Part {
    std::mutex mutex;
    ProcessRanks ranks;  // guarded by mutex
    bool made = false;   // guarded by mutex
  };
  using Key = std::pair<size_t, int>;  ///< number of the split, and first rank

  ProcessGroupOptions options_of(const Key& key, const std::vector<int>& members) const;
  void make(Part& part, const Key& key, const std::vector<int>& members);

  const ProcessGroupOptions options_;
  std::mutex mutex_;
  std::vector<size_t> splits_;                             // of each rank; guarded by mutex_
  std::map<Key, std::shared_ptr<Part>> parts_;             // guarded by mutex_
  std::vector<std::function<void(const Error&)>> aborts_;  // guarded by mutex_
  std::optional<Error> error_;                             // guarded by mutex_
};

}  // namespace cohort::distribute
