#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "cluster/key_value_store.h"
#include "distribute/transport/host_group.h"
#include "distribute/transport/network_collective.h"

namespace cohort::distribute {

/// How a node's progress thread sees that others are late, and whom it tells: people and the wait
/// board, and at the timeout the group. One thread uses it.
class NetworkWatch {
 public:
  struct Options {
    int node = 0, num_nodes = 0;
    std::shared_ptr<HostGroup> host;
    cluster::KeyValueStore* store = nullptr;
    std::string key;  ///< under which the nodes leave their flight records when the group fails
    std::chrono::milliseconds timeout{};
    std::chrono::milliseconds warn_after{};
  };

  explicit NetworkWatch(Options options) : options_(std::move(options)) {}

  /// Looks at the n-th collective; null when it is gone. Throws DeadlineExceeded when its pending
  /// call has lasted too long, and what check_alive throws.
  void check(size_t index, const NetworkCollective* collective);
  /// When the group has failed: leaves this host's flight records in the store and, when a deadline
  /// passed here, writes to stderr who is behind by the records of all.
  void report_failure() const;

 private:
  using Clock = std::chrono::steady_clock;
  /// What has been seen of a collective.
  struct Seen {
    uint32_t call = 0;  ///< that is pending
    Clock::time_point since;
    bool warned = false;
    uint32_t posted_call = 0;
    std::string posted_who;
    std::vector<std::shared_ptr<void>> posted;  ///< on the wait board
  };

  void check_patience(const NetworkCollective& collective, Seen& seen, Clock::duration waited);
  void post(size_t index, const NetworkCollective& collective, Seen& seen);
  bool host_stands_still() const;

  const Options options_;
  std::vector<Seen> seen_;  ///< by collective
  bool timed_out_ = false;
};

}  // namespace cohort::distribute
