#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cohort/cluster/failure_report.h"
#include "cohort/cluster/last_words.h"
#include "cohort/cluster/membership.h"
#include "cohort/cluster/metrics_server.h"
#include "cohort/cluster/port_range.h"
#include "cohort/cluster/tls.h"
#include "cohort/cluster/wait_board.h"
#include "cohort/core/chrono.h"
#include "cohort/distribute/abort_switch.h"
#include "cohort/distribute/process_exchange.h"
#include "cohort/distribute/workers.h"

namespace cohort::distribute {

class MpiWorld;

/// The workers of a job as one of them sees them: its seat in the cluster, where they exchange
/// small values, and what ends their waits when one of them fails. One thread at a time is inside
/// of what is collective: another is refused.
class WorkerGroup final : public Workers {
 public:
  struct Options {
    std::string address;            ///< of this host, for the workers of others
    cluster::PortRange ports = {};  ///< that this worker may listen at there
    std::chrono::milliseconds startup_timeout{};
    std::chrono::milliseconds timeout{};  ///< as in ProcessGroupOptions, as are those below
    cluster::TlsKeys tls = {};
    std::shared_ptr<MpiWorld> mpi = nullptr;
    std::shared_ptr<cluster::WaitBoard> wait_board = nullptr;  ///< the one the membership tells
  };

  WorkerGroup(std::unique_ptr<cluster::Membership> membership, Options options);
  /// Says good-bye to the others; when an exception is on its way through this scope, tells them
  /// that this worker failed. So does the end of the process while this lives.
  ~WorkerGroup() override;

  int count() const override { return static_cast<int>(membership_->tasks().size()); }
  int index() const override { return worker_; }
  std::string name_of(int worker) const override;
  std::vector<std::string> all_gather(std::string_view label, std::string_view mine) override;
  using Workers::all_gather;
  void enter_call() override {
    if (options_.wait_board) options_.wait_board->enter_call();
  }
  std::shared_ptr<void> watch(Communicator& communicator) override;
  /// Also writes the launcher's record of it, whoever it came from. The first one counts. Any
  /// thread.
  void report_error(const Error& error) override;
  Error explain(const Error& error) override;
  OneThread::Entered enter(const char* what) override;

  /// Keeps `metrics` informed of the cluster, and the cluster of where they are served.
  void report_to(MetricRegistry& metrics) { metrics_.emplace(metrics, *membership_); }

  std::chrono::milliseconds timeout() const { return options_.timeout; }
  /// What the job has failed with, if it has. Any thread may ask.
  std::optional<Error> failure() const { return membership_->error(); }

  /// Replaces `bytes` at `data` by the chief's. Collective.
  void broadcast(std::string_view label, void* data, size_t bytes);
  /// Workers that run on this one's host and share all of its cores with it, itself included.
  int sharing_cores() const { return sharing_cores_; }

  /// Communicators of this worker's devices in a new group of all workers' devices, each carrying
  /// `block_sizes[rank]` replicas. Collective.
  std::vector<std::unique_ptr<Communicator>> make_communicators(std::vector<int> block_sizes);

 private:
  /// A watch of the cluster, as long as this lives.
  struct Watch {
    Watch(cluster::Membership& membership, std::function<void(const Error&)> handler)
        : membership(membership), number(membership.watch(std::move(handler))) {}
    ~Watch() { membership.unwatch(number); }
    cluster::Membership& membership;
    const int number;
  };

  std::vector<std::unique_ptr<Communicator>> connect(std::vector<int> block_sizes,
                                                     const std::string& name);
  void meet_hosts();
  bool is_hearsay(const Error& error) const;
  bool is_foreign(const Error& error) const;

  std::unique_ptr<cluster::Membership> membership_;
  std::optional<cluster::ClusterMetrics> metrics_;
  const Options options_;
  const int exceptions_;  ///< on their way when this was made
  int worker_ = -1;
  int sharing_cores_ = 1;
  int groups_ = 0;
  std::atomic<bool> failed_ = false;
  const cluster::FailureReport report_{cluster::Environment::of_process()};
  std::vector<std::string> hosts_;  ///< of each worker
  OneThread together_;              ///< what is collective
  AbortSwitch switch_;
  std::promise<void> cluster_failed_;
  std::shared_future<void> cluster_failure_{cluster_failed_.get_future()};
  std::optional<Watch> watch_;
  std::unique_ptr<ProcessExchange> exchange_;
  std::shared_ptr<void> watched_exchange_;
  std::optional<cluster::LastWords> last_words_;
};

}  // namespace cohort::distribute
