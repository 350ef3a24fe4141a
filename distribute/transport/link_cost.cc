#include "cohort/distribute/transport/link_cost.h"

#include <fmt/format.h>
#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>

#include "cohort/cluster/peer_wait.h"
#include "cohort/core/error.h"

namespace cohort::distribute {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostLinks = 3;
constexpr size_t kSmallMessageBytes = 64, kLargeMessageBytes = size_t{32} << 10;
constexpr int kSmallTrips = 8, kLargeTrips = 3;     // the fastest counts
constexpr int kProbeYields = 200;                   // until a wait sleeps
constexpr std::chrono::milliseconds kReadyWait(1);  // MPI and TLS wake nobody
constexpr size_t kLeastOneHop = size_t{4} << 10, kMostOneHop = size_t{64} << 10;

/// One end of the exchange with another node.
class Talk {
 public:
  Talk(Connection& connection, const std::string& name, cluster::PeerWait& wait)
      : connection_(connection), name_(name), wait_(wait), memory_(kLargeMessageBytes) {}

  /// Seconds of the fastest of `trips` there and back.
  double ask(size_t bytes, int trips) {
    auto fastest = Clock::duration::max();
    for (int i = 0; i < trips; ++i) {
      const auto begin = Clock::now();
      send(bytes);
      receive(bytes);
      fastest = std::min(fastest, Clock::now() - begin);
    }
    return std::chrono::duration<double>(fastest).count();
  }
  void answer(size_t bytes, int trips) {
    for (int i = 0; i < trips; ++i) {
      receive(bytes);
      send(bytes);
    }
  }

 private:
  void send(size_t bytes) {
    repeat(bytes, POLLOUT, [&](size_t done) {
      const iovec part{memory_.data() + done, bytes - done};
      return connection_.try_write({&part, 1});
    });
  }
  void receive(size_t bytes) {
    repeat(bytes, POLLIN,
           [&](size_t done) { return connection_.try_read(memory_.data() + done, bytes - done); });
  }

  /// Calls move(done) until it has moved all; names the node in what goes wrong.
  template <class Move>
  void repeat(size_t bytes, short event, Move&& move) {
    int vain = 0;
    for (size_t done = 0; done < bytes;) {
      size_t moved = 0;
      try {
        moved = move(done);
      } catch (const Error& error) {
        wait_.give_up(error.within(name_));
      }
      done += moved;
      if (moved > 0) {
        vain = 0;
      } else if (++vain <= kProbeYields) {
        sched_yield();
      } else {
        pollfd ready{.fd = connection_.descriptor(), .events = event, .revents = 0};
        wait_.poll(
            {&ready, 1}, [&] { return name_ + " (no answer on its connection)"; }, kReadyWait);
      }
    }
  }

  Connection& connection_;
  const std::string& name_;
  cluster::PeerWait& wait_;
  std::vector<char> memory_;
};

}  // namespace

LinkCost measure_links(const std::vector<std::unique_ptr<Connection>>& links,
                       const LinkCostOptions& options) {
  const auto name = [&](int node) -> const std::string& {
    return options.names[static_cast<size_t>(node)];
  };
  cluster::PeerWait wait({.store = options.store,
                          .where = "cost of links: " + name(options.node),
                          .timeout = options.timeout});
  const int last = std::min(kMostLinks, static_cast<int>(links.size()) - 1);
  if (options.node == 0) {
    LinkCost cost{.latency = 0, .bandwidth = 1e12};
    for (int node = 1; node <= last; ++node) {
      Talk talk(*links[static_cast<size_t>(node)], name(node), wait);
      const double small = talk.ask(kSmallMessageBytes, kSmallTrips) / 2;
      const double large = talk.ask(kLargeMessageBytes, kLargeTrips) / 2;
      cost.latency = std::max(cost.latency, small);
      cost.bandwidth = std::min(cost.bandwidth, kLargeMessageBytes / std::max(large - small, 1e-9));
    }
    options.store->insert(options.key, fmt::format("{} {}", cost.latency, cost.bandwidth));
    return cost;
  }
  if (options.node <= last) {
    Talk talk(*links[0], name(0), wait);
    talk.answer(kSmallMessageBytes, kSmallTrips);
    talk.answer(kLargeMessageBytes, kLargeTrips);
  }
  const std::string said = wait.get(options.key, [&] { return name(0); });
  char* end = nullptr;
  const double latency = std::strtod(said.c_str(), &end);
  return {.latency = latency, .bandwidth = std::strtod(end, nullptr)};
}

size_t one_hop_bytes(const LinkCost& cost, int num_nodes) {
  if (num_nodes <= 2) return kMostOneHop;
  // Of b bytes a node sends (n-1) b in one hop, and 2 (n-1)/n b in two.
  const double n = num_nodes;
  const double even = cost.latency * cost.bandwidth * n / ((n - 1) * (n - 2));
  return static_cast<size_t>(
      std::clamp(even, static_cast<double>(kLeastOneHop), static_cast<double>(kMostOneHop)));
}

}  // namespace cohort::distribute
