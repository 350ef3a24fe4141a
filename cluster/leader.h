#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "cluster/coordinator.h"
#include "cluster/rpc.h"

namespace cohort::cluster {

/// A coordinator with a clock and, where there are others to serve, a server.
class Leader {
 public:
  /// Listens at `address` ("host:port"); alone in its cluster only with `listen_alone`.
  Leader(Coordinator::Options options, const std::string& address, const TlsOptions& tls,
         bool listen_alone = false);
  /// The tasks that have not left are told that the leader has gone. After a failure tasks that
  /// have not come yet have two seconds to come and hear of it.
  ~Leader();
  Leader(const Leader&) = delete;
  Leader& operator=(const Leader&) = delete;

  const std::shared_ptr<Coordinator>& coordinator() const { return coordinator_; }
  /// Where it listens, with the port that it got.
  const std::string& address() const { return address_; }

 private:
  void tick();

  const std::shared_ptr<Coordinator> coordinator_;
  const std::string gone_;
  std::string address_;
  std::unique_ptr<RpcServer> server_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;  // guarded by mutex_
  std::thread clock_;
};

}  // namespace cohort::cluster
