#pragma once

#include <sys/socket.h>

#include <array>
#include <compare>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cohort/cluster/descriptor.h"
#include "cohort/cluster/endpoint.h"
#include "cohort/core/chrono.h"

namespace cohort::cluster {

/// Listens for a server, which gets the connections, and keeps watch over those of strangers: peers
/// that have not been admitted. They are so many at most and end after a time. One more makes the
/// oldest from the source with most of them end; a source is an IPv4 address or 64 bits of an IPv6
/// one. So are as many descriptors left to the process as it needs, whoever connects. One thread.
class Acceptor {
 public:
  struct Options {
    Address address;            ///< numeric; port 0 takes a free one
    size_t max_strangers = 64;  ///< fewer where the process may have few descriptors
    std::chrono::milliseconds patience{5000};
  };
  /// Gets a connection, not blocking and closed on exec, and closes it. Called by one thread.
  using Take = std::function<void(int connection)>;

  /// Holds the port. Throws as listen_at.
  explicit Acceptor(const Options& options);
  ~Acceptor() { stop(); }
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  int port() const { return port_; }
  void start(Take take);
  /// Frees the port and ends the strangers' connections; `take` does not run any more.
  void stop();

  /// The peer at "10.0.0.7:51234" or "[::1]:51234" is no stranger any more. Thread-safe.
  void admit(const std::string& peer);

 private:
  using Clock = std::chrono::steady_clock;
  struct Source {
    std::array<unsigned char, 16> address{};  // IPv4 as IPv6 has it
    int port = 0;
    auto operator<=>(const Source&) const = default;
  };
  struct Stranger {
    Descriptor watch;  // a second descriptor of the connection
    Source source;
    Clock::time_point since;
  };
  using Strangers = std::list<Stranger>;  // the oldest first

  static Source source_of(const sockaddr_storage& address);
  static std::array<unsigned char, 16> network_of(const Source& source);

  void run();
  void accept_some();
  bool accept_one();
  size_t max_strangers() const;
  bool is_short_of_descriptors(int newest) const;
  void forget_ended();
  void drop_one();
  void end(Strangers::iterator stranger);
  void end_old();
  int milliseconds_to_wait() const;

  const Options options_;
  int port_ = 0;  // set with listener_
  Descriptor listener_, wake_;
  Take take_;
  Clock::time_point resume_{};  // nothing is accepted before; of the thread, as take_

  std::mutex mutex_;
  Strangers strangers_;  // guarded by mutex_, as is ending_
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace cohort::cluster
