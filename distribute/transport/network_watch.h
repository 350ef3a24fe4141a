#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/cluster/key_value_store.h"
#include "cohort/core/chrono.h"
#include "cohort/distribute/transport/host_group.h"
#include "cohort/distribute/transport/network_collective.h"

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

  /// Now and then, before the checks. `moved`: since the last time this node has sent or received
  /// data of the group; `heard`: another one says that data moves there. Silence counts from the
  /// last time that either was so, or data of another group of this process has moved.
  void look(bool moved, bool heard);
  /// Looks at the n-th collective; null when it is gone. Throws DeadlineExceeded when nothing has
  /// moved for the timeout since somebody entered the pending call, and what check_alive throws.
  void check(size_t index, const NetworkCollective* collective);
  /// After the checks: whether to tell the other nodes that data moves here. Somebody waits, for a
  /// while, perhaps for what depends on that data.
  bool has_news();
  /// When the group has failed: leaves this host's flight records in the store and, when a deadline
  /// passed here, writes to stderr who is behind by the records of all.
  void report_failure() const;

 private:
  using Clock = std::chrono::steady_clock;
  /// What has been seen of a collective's next call.
  struct Seen {
    uint32_t call = 0;
    int entered = 0;           ///< as NetworkCollective::num_entered
    Clock::time_point begin;   ///< the first has entered
    Clock::time_point since;   ///< the latest has entered
    Clock::time_point warned;  ///< of a silence that began then
    uint32_t posted_call = 0;
    std::vector<std::shared_ptr<void>> posted;  ///< on the wait board
  };

  void check_patience(const NetworkCollective& collective, Seen& seen);
  void post(size_t index, const NetworkCollective& collective, Seen& seen);

  const Options options_;
  std::vector<Seen> seen_;  ///< by collective
  Clock::time_point now_ = Clock::now();
  Clock::time_point moved_ = now_;  ///< latest
  Clock::time_point told_;          ///< news
  uint64_t movements_ = 0;          ///< of the process
  bool moves_here_ = false;         ///< at the latest look
  bool stands_still_ = false;       ///< a rank of this process
  bool somebody_waits_ = false;     ///< a call that somebody has entered has lasted a while
  bool timed_out_ = false;
};

}  // namespace cohort::distribute
