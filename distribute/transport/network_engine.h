#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/core/error.h"
#include "cohort/distribute/transport/frame.h"
#include "cohort/distribute/transport/host_group.h"
#include "cohort/distribute/transport/link.h"
#include "cohort/distribute/transport/network_collective.h"
#include "cohort/distribute/transport/network_watch.h"
#include "cohort/distribute/transport/poller.h"

namespace cohort::distribute {

/// What has been sent over the network by one node.
struct NetworkCounters {
  std::atomic<uint64_t> payload_bytes{0};
  std::atomic<uint64_t> frames{0};
  /// What payload_bytes has of the ranks' buffers, by kind of collective.
  std::array<std::atomic<uint64_t>, kNumCollectiveKinds> of_kind{};
};

struct NetworkEngineOptions {
  int node = 0;
  std::vector<std::string> names;                  ///< of the nodes: their ranks
  std::vector<std::unique_ptr<Connection>> links;  ///< by node, none to itself
  std::shared_ptr<HostGroup> host;
  cluster::KeyValueStore* store = nullptr;
  std::string key;  ///< under which the nodes leave their flight records when the group fails
  std::chrono::milliseconds timeout{};
  std::chrono::milliseconds warn_after{};
};

/// The progress thread of a node: moves frames between the connections and the collectives. Runs in
/// the first process of each host. An error of a connection or a frame fails the host's group, and
/// the group's failure is told to the other nodes.
class NetworkEngine : private Link::Frames {
 public:
  explicit NetworkEngine(NetworkEngineOptions options);
  /// Waits until everything has reached the other nodes' hosts, and says good-bye; gives up when
  /// nothing moves for some seconds.
  ~NetworkEngine() override;

  int node() const { return options_.node; }
  int num_nodes() const { return static_cast<int>(links_.size()); }
  HostGroup& host() const { return *options_.host; }
  const NetworkCounters& counters() const { return counters_; }
  /// For the progress thread.
  void count_payload(CollectiveKind kind, size_t bytes) {
    counters_.of_kind[static_cast<size_t>(kind) - 1].fetch_add(bytes, std::memory_order_relaxed);
  }

  /// Adds the n-th collective. Thread-safe.
  void add(std::shared_ptr<NetworkCollective> collective);
  /// Afterwards the engine does not touch the collective's memory; no call of it may be pending
  /// unless the group has failed.
  void forget(size_t collective);

  /// Keeps memory of the host's heap until nobody needs it.
  void keep_until(std::shared_ptr<void> memory, std::function<bool()> unneeded);

  // For collectives, inside their callbacks.
  /// Queues a frame; `data` stays as it is until sent().
  void send(int node, FrameHeader frame, const char* data);
  /// Throws Unavailable when the node has left.
  void expect_alive(int node) const;

 private:
  static constexpr std::chrono::seconds kPatienceAtEnd{5};  ///< in which nothing moves

  std::optional<char*> place_of(Link& link, const FrameHeader& frame) override;
  void received(Link& link, const FrameHeader& frame) override;
  void sent(Link& link, const FrameHeader& frame) override;

  void run();
  void loop();
  void handle(const epoll_event& event);
  int next_wait_ms();
  void advance_all();
  NetworkCollective* find(const FrameHeader& frame) const;
  void check_clocks();
  bool has_moved();
  void tell_news();
  bool idle() const;

  void release_memory();
  void tell_failure();
  void say_goodbye();
  size_t send_rest();

  NetworkEngineOptions options_;
  Poller poller_;
  std::vector<std::unique_ptr<Link>> links_;  ///< by node, none to itself
  std::vector<Link*> all_links_;              ///< the same without the gap
  NetworkCounters counters_;
  NetworkWatch watch_;
  std::mutex mutex_;  ///< held while the thread works; guards what follows
  std::vector<std::shared_ptr<NetworkCollective>> collectives_;
  std::vector<size_t> live_;  ///< those that are not forgotten
  std::string abort_message_;
  std::vector<char> unwanted_;  ///< where frames go that nobody needs
  struct Kept {
    std::shared_ptr<void> memory;
    std::function<bool()> unneeded;
  };
  std::vector<Kept> kept_;
  std::chrono::steady_clock::time_point next_check_;
  bool released_ = false;
  bool heard_ = false;   ///< from another node that data moves there
  bool polled_ = false;  ///< some links have no descriptor
  int vain_polls_ = 0;   ///< since something was sent or received
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace cohort::distribute
