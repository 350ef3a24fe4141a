#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/core/error.h"
#include "cohort/distribute/transport/connection.h"
#include "cohort/distribute/transport/frame.h"
#include "cohort/distribute/transport/host_group.h"
#include "cohort/distribute/transport/network_collective.h"
#include "cohort/distribute/transport/network_watch.h"

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
class NetworkEngine {
 public:
  explicit NetworkEngine(NetworkEngineOptions options);
  /// Waits until everything has reached the other nodes' hosts, and says good-bye; gives up when
  /// nothing moves for some seconds.
  ~NetworkEngine();

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

  struct Outgoing {
    FrameHeader frame;
    const char* data;
  };
  struct Link {
    std::unique_ptr<Connection> connection;
    std::vector<Outgoing> queue;  ///< from `first` on
    size_t first = 0;
    size_t sent_bytes = 0;  ///< of the first frame, header included
    FrameHeader frame;      ///< being received
    size_t got_bytes = 0;
    char* place = nullptr;
    bool paused = false;  ///< the header is there, but this node is not ready for the frame
    bool has_left = false;
    size_t on_the_way = 0;  ///< sent bytes that the peer's host did not have at the last look
    bool writing = false;   ///< waits for room in the connection
  };

  void run();
  void loop();
  void handle_link(int node, uint32_t events);
  bool has_unread() const;
  size_t write_some(int node, std::span<const iovec> parts);
  size_t read_some(int node, char* to, size_t bytes);
  void hear_last_words(int node);
  static void send_last(Connection& connection, const FrameHeader& frame,
                        const std::string& message);
  int next_wait_ms();
  void release_memory();
  void flush(int node);
  void receive(int node);
  bool receive_some(int node);
  bool open_frame(int node);
  void close_frame(int node);
  NetworkCollective* find(const FrameHeader& frame);
  void advance_all();
  void check_clocks();
  void update_events(int node);
  void tell_failure();
  void say_goodbye();
  size_t send_rest();
  size_t on_the_way(const Link& link) const;
  bool has_moved();
  void tell_news();
  bool idle() const;
  std::string link_name(int node) const;

  NetworkEngineOptions options_;
  std::vector<Link> links_;
  NetworkCounters counters_;
  NetworkWatch watch_;
  FileDescriptor epoll_;
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
  bool moved_ = false;   ///< data, since the last look
  bool heard_ = false;   ///< from another node that data moves there
  bool polled_ = false;  ///< some connections have no descriptor
  int vain_polls_ = 0;   ///< since something was sent or received
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace cohort::distribute
