#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cohort/cluster/coordinator.h"
#include "cohort/cluster/last_words.h"
#include "cohort/cluster/publication.h"
#include "cohort/cluster/rpc.h"

namespace cohort::cluster {

/// How a leader is reached.
struct LeaderOptions {
  std::string address;  ///< "host:port"
  TlsOptions tls;
  bool listen_alone = false;  ///< also when it is the only task
  /// Of the job, which all who come must know; empty: nobody is asked for it.
  std::string secret;
  /// Gives `secret` to this user's other processes on this host, while the leader lives.
  bool share_secret = false;
  bool reflection = false;
  std::string advice_on_names;  ///< see resolve()
};

/// A coordinator with a clock and, where there are others to serve, a server.
class Leader {
 public:
  Leader(Coordinator::Options options, const LeaderOptions& serving);
  /// The tasks that have not left are told that the leader has gone. After a failure tasks that
  /// have not come yet have two seconds to come and hear of it.
  ~Leader();
  Leader(const Leader&) = delete;
  Leader& operator=(const Leader&) = delete;

  const std::shared_ptr<Coordinator>& coordinator() const { return coordinator_; }
  /// Where it listens, with the port that it got.
  const std::string& address() const { return address_; }

 private:
  void listen(const Coordinator::Options& options, const LeaderOptions& serving);
  void tick();

  const std::shared_ptr<Coordinator> coordinator_;
  const std::string gone_;
  std::string address_;
  std::unique_ptr<RpcServer> server_;
  std::optional<Publication> shared_;
  std::optional<LastWords> at_exit_;  // destroyed before shared_, which exit() would leave behind
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;  // guarded by mutex_
  std::thread clock_;
};

}  // namespace cohort::cluster
