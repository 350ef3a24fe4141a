#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "cohort/distribute/transport/mpi_world.h"

namespace cohort::distribute::test {

/// Links of a given speed between the processes of a group that are threads of this one: what
/// ProcessGroupOptions::mpi takes instead of MPI. Thread-safe.
class SlowNetwork {
 public:
  static constexpr double kFast = 1e12;
  static constexpr size_t kRoom = size_t{64} << 10;  ///< bytes under way on a link

  /// From process `a` to process `b` and back, from now on.
  void set_rate(int a, int b, double bytes_per_second) {
    const std::lock_guard lock(mutex_);
    for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
      Link& link = links_[{from, to}];
      link.advance();
      link.rate = bytes_per_second;
    }
  }

  /// What has come from `a` to `b`.
  size_t arrived(int a, int b) {
    const std::lock_guard lock(mutex_);
    return links_[{a, b}].arrived;
  }

  std::shared_ptr<MpiWorld> world(int process, int size) {
    return std::make_shared<World>(*this, process, size);
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// All channels of one direction share its speed.
  struct Link {
    double rate = kFast;
    double credit = 0;  ///< bytes that may arrive now
    size_t arrived = 0;
    Clock::time_point counted = Clock::now();

    void advance() {
      const auto now = Clock::now();
      credit += rate * std::chrono::duration<double>(now - counted).count();
      credit = std::min(credit, static_cast<double>(kRoom));
      counted = now;
    }
  };
  struct Channel {
    std::deque<char> bytes;
  };

  class World final : public MpiWorld {
   public:
    World(SlowNetwork& network, int process, int size)
        : network_(network), process_(process), size_(size) {}
    int rank() const override { return process_; }
    int size() const override { return size_; }
    std::unique_ptr<Connection> connect(int other, int tag) override {
      return std::make_unique<End>(network_, process_, other, tag);
    }
    void give_up() override {}

   private:
    SlowNetwork& network_;
    const int process_, size_;
  };

  class End final : public Connection {
   public:
    End(SlowNetwork& network, int self, int other, int tag)
        : network_(network), self_(self), other_(other), tag_(tag) {}

    size_t try_write(std::span<const iovec> parts) override {
      const std::lock_guard lock(network_.mutex_);
      std::deque<char>& bytes = network_.channels_[{self_, other_, tag_}].bytes;
      size_t sent = 0;
      for (const iovec& part : parts) {
        const size_t n = std::min(part.iov_len, kRoom - bytes.size());
        const char* from = static_cast<const char*>(part.iov_base);
        bytes.insert(bytes.end(), from, from + n);
        sent += n;
        if (n < part.iov_len) break;
      }
      return sent;
    }

    size_t try_read(char* to, size_t wanted) override {
      const std::lock_guard lock(network_.mutex_);
      std::deque<char>& bytes = network_.channels_[{other_, self_, tag_}].bytes;
      Link& link = network_.links_[{other_, self_}];
      link.advance();
      const size_t n = std::min({wanted, bytes.size(), static_cast<size_t>(link.credit)});
      std::copy_n(bytes.begin(), n, to);
      bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
      link.credit -= static_cast<double>(n);
      link.arrived += n;
      return n;
    }

    int descriptor() const override { return -1; }
    std::string peer_identity() const override { return "slow " + std::to_string(other_); }
    void finish() override {}

   private:
    SlowNetwork& network_;
    const int self_, other_, tag_;
  };

  std::mutex mutex_;
  std::map<std::pair<int, int>, Link> links_;              // guarded by mutex_
  std::map<std::tuple<int, int, int>, Channel> channels_;  // guarded by mutex_
};

}  // namespace cohort::distribute::test
