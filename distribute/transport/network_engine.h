#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "distribute/transport/connection.h"
#include "distribute/transport/frame.h"
#include "distribute/transport/host_group.h"

namespace cohort::distribute {

class NetworkEngine;

/// One collective of the group as this node's progress thread sees it.
class NetworkCollective {
 public:
  virtual ~NetworkCollective() = default;

  /// Looks at what the ranks of this host have done since, and does what follows.
  virtual void advance() = 0;
  /// Where the payload of this frame goes, null where it must wait until advance() has done more.
  /// The frame has been checked for size alone. Throws DataLoss for one that has no place.
  virtual char* place_of(int node, const FrameHeader& frame) = 0;
  /// The payload is there.
  virtual void received(int node, const FrameHeader& frame) = 0;
  /// One of its frames has left; its memory is free again.
  virtual void sent() = 0;
  /// The call that a rank of this host has started and that has not ended; 0 when there is none.
  virtual uint32_t pending_call() const = 0;
  /// Throws Unavailable when somebody whom the pending call needs has gone.
  virtual void check_alive() const = 0;
  /// The call that comes after those that have ended.
  virtual uint32_t next_call() const = 0;
  /// Whom the next call waits for, and whether they have shown no sign of the call (rather than
  /// waiting themselves for others).
  struct Silence {
    std::string who;
    bool first_hand = true;
    std::vector<int> ranks = {};  ///< of this host, that have not started it; else
    std::vector<int> nodes = {};  ///< others, from which something has not come
  };
  virtual Silence silence() const = 0;
  /// "all_reduce #4 of 1000 float32"
  virtual const std::string& name() const = 0;
};

/// What has been sent over the network by one node.
struct NetworkCounters {
  std::atomic<uint64_t> payload_bytes{0};
  std::atomic<uint64_t> frames{0};
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
  /// Waits, some seconds at most, until everything has been sent, and says good-bye.
  ~NetworkEngine();

  int node() const { return options_.node; }
  int num_nodes() const { return static_cast<int>(links_.size()); }
  HostGroup& host() const { return *options_.host; }
  const NetworkCounters& counters() const { return counters_; }

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
    bool writing = false;  ///< waits for room in the connection
  };

  void run();
  void loop();
  void handle_link(int node, uint32_t events);
  bool has_unread() const;
  size_t write_some(int node, std::span<const iovec> parts);
  size_t read_some(int node, char* to, size_t bytes);
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
  void post_wait(size_t index);
  void watch(int node);
  void tell_failure();
  void leave_records();
  void explain();
  void say_goodbye();
  bool idle() const;
  std::string link_name(int node) const;

  NetworkEngineOptions options_;
  std::vector<Link> links_;
  NetworkCounters counters_;
  FileDescriptor epoll_;
  std::mutex mutex_;  ///< held while the thread works; guards what follows
  std::vector<std::shared_ptr<NetworkCollective>> collectives_;
  std::string abort_message_;
  std::vector<char> unwanted_;  ///< where frames go that nobody needs
  /// Since when a pending call has been seen.
  struct Watched {
    uint32_t call = 0;
    std::chrono::steady_clock::time_point since;
    bool warned = false;
    uint32_t posted_call = 0;
    std::string posted_who;
    std::vector<std::shared_ptr<void>> posted;  ///< on the wait board
  };
  struct Kept {
    std::shared_ptr<void> memory;
    std::function<bool()> unneeded;
  };
  std::vector<Kept> kept_;
  std::vector<Watched> watched_;  ///< by collective
  std::chrono::steady_clock::time_point next_check_;
  bool timed_out_ = false;
  bool released_ = false;
  bool polled_ = false;  ///< some connections have no descriptor
  int vain_polls_ = 0;   ///< since something was sent or received
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace cohort::distribute
