// Communication that a step of several workers cannot hide, beside the least possible. The backward
// pass is a timer that releases one bucket of gradients after the other; each is all-reduced as
// soon as it is released, and all are waited for at the end.
//   overlap RANK FOLDER MBIT_PER_SECOND BURST BYTES ADDRESS,...
// One process for each address, on links that send at most so fast, and BURST bytes at once after a
// rest. Rank 0 prints "mbit payload compute ideal low median high ratio": the link's rate, what TCP
// was measured to carry of it, milliseconds of the timer, exposed communication of the ideal
// overlap (protocol.md), quartiles of the measured one, and median over ideal.
// benchmarks/overlap.sh runs it.

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks/raw_link.h"
#include "benchmarks/spread.h"
#include "cohort/core/error.h"
#include "cohort/distribute/process_group.h"
#include "tests/support/folder_store.h"

namespace {

using namespace cohort;
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr int kBuckets = 8;
constexpr int kSteps = 9;
constexpr int kWarmUp = 2;
constexpr int kRateTrials = 3;

class Bench {
 public:
  /// `burst`: milliseconds of sending that a rested link saves.
  Bench(Communicator& group, double payload_megabits, double burst, size_t bytes)
      : group_(group),
        payload_megabits_(payload_megabits),
        burst_(burst),
        count_(static_cast<int64_t>(bytes / kBuckets / 4)) {
    for (int b = 0; b < kBuckets; ++b) {
      memory_.push_back(group.allocate_bucket(bytes / kBuckets));
      slots_.push_back(memory_.back().get());
    }
    for (int b = kBuckets; b-- > 0;)  // backward
      requests_.push_back(
          group.prepare({.count = count_, .buffer = &slots_[static_cast<size_t>(b)]}));
    took_slot_ = &took_;
    longest_ = group.prepare(
        {.dtype = DType::kF64, .count = 1, .op = ops::ReduceOp::kMax, .buffer = &took_slot_});
  }

  /// Milliseconds in which a bucket's least bytes leave a worker.
  double wire() const {
    const double n = group_.size();
    const double bytes = 2 * (n - 1) / n * static_cast<double>(count_) * 4;
    return bytes * 8 / (payload_megabits_ * 1e3);
  }

  void run(double compute) {
    std::vector<double> exposed;
    for (int step = -kWarmUp; step < kSteps; ++step) {
      const double took = run_step(compute);
      if (step >= 0) exposed.push_back(took - compute);
    }
    const Spread found(exposed);
    const double ideal = ideal_end(compute) - compute;
    if (group_.rank() == 0)
      fmt::print("{:.2f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.3f}\n", payload_megabits_, compute,
                 ideal, found.low, found.median, found.high, found.median / ideal);
    std::fflush(stdout);
  }

 private:
  static double release_time(double compute, int bucket) {
    return compute * (bucket + 1) / kBuckets;
  }

  /// Buckets leave one after the other, each once it is there, and nothing else takes time.
  double ideal_end(double compute) const {
    double end = -burst_;
    for (int b = 0; b < kBuckets; ++b) {
      const double begin = std::max(end, release_time(compute, b));
      end = begin + wire() - std::min(burst_, begin - end);
    }
    return end;
  }

  /// Milliseconds of the slowest worker.
  double run_step(double compute) {
    slowest(0);  // all begin now
    const auto begin = Clock::now();
    for (int b = 0; b < kBuckets; ++b) {
      float* values = static_cast<float*>(slots_[static_cast<size_t>(kBuckets - 1 - b)]);
      std::fill_n(values, count_, static_cast<float>(group_.rank() + b));
      const Milliseconds until(release_time(compute, b));
      std::this_thread::sleep_until(begin + std::chrono::duration_cast<Clock::duration>(until));
      requests_[static_cast<size_t>(b)]->start();
    }
    for (const auto& request : requests_) request->wait();
    const double took = Milliseconds(Clock::now() - begin).count();
    check_sums();
    return slowest(took);
  }

  void check_sums() const {
    const int n = group_.size();
    for (int b = 0; b < kBuckets; ++b) {
      const float* values =
          static_cast<const float*>(slots_[static_cast<size_t>(kBuckets - 1 - b)]);
      const auto want = static_cast<float>(n * (n - 1) / 2 + n * b);
      if (std::any_of(values, values + count_, [&](float v) { return v != want; }))
        throw Internal("a sum is wrong");
    }
  }

  double slowest(double mine) {
    took_ = mine;
    longest_->start();
    longest_->wait();
    return took_;
  }

  Communicator& group_;
  const double payload_megabits_;
  const double burst_;
  const int64_t count_;  ///< elements of a bucket
  std::vector<std::shared_ptr<void>> memory_;
  std::vector<void*> slots_;
  std::vector<std::unique_ptr<Communicator::Request>> requests_;
  double took_ = 0;
  void* took_slot_ = nullptr;
  std::unique_ptr<Communicator::Request> longest_;
};

/// What the rank can send and receive at once, to and from all others, over raw connections; the
/// least of all ranks, in Mbit/s of payload.
double measure_payload_rate(const distribute::ProcessGroupOptions& options,
                            test::FolderStore& store, Communicator& group, size_t bytes) {
  std::vector<std::unique_ptr<RawLink>> links;
  for (int peer = 0; peer < group.size(); ++peer) {
    const int low = std::min(peer, group.rank()), high = std::max(peer, group.rank());
    if (peer != group.rank())
      links.push_back(std::make_unique<RawLink>(low == group.rank(),
                                                options.host_of[static_cast<size_t>(low)], store,
                                                fmt::format("raw-{}-{}", low, high)));
  }
  const std::vector<char> out(bytes);
  double best = 0;
  void* slot = &best;
  const auto least =
      group.prepare({.dtype = DType::kF64, .count = 1, .op = ops::ReduceOp::kMin, .buffer = &slot});
  const auto agree = [&](double mine) {
    best = mine;
    least->start();
    least->wait();
    return best;
  };
  double fastest = 0;
  for (int trial = 0; trial < kRateTrials; ++trial) {
    agree(0);
    const auto begin = Clock::now();
    std::vector<std::thread> threads;
    for (const auto& link : links)
      threads.emplace_back([&link, &out] {
        std::vector<char> in(size_t{64} << 10);
        link->exchange(out.data(), {.memory = in.data(), .whole = false}, out.size(), in.size());
      });
    for (std::thread& thread : threads) thread.join();
    const double took = Milliseconds(Clock::now() - begin).count();
    const auto sent = static_cast<double>(bytes * links.size());
    fastest = std::max(fastest, agree(sent * 8 / (took * 1e3)));
  }
  return fastest;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 7) {
    fmt::print("usage: overlap RANK FOLDER MBIT_PER_SECOND BURST BYTES ADDRESS,...\n");
    return 1;
  }
  test::FolderStore store{std::string(argv[2])};
  distribute::ProcessGroupOptions options{
      .process = std::atoi(argv[1]), .store = &store, .name = "overlap"};
  const std::string addresses = argv[6];
  for (size_t from = 0; from <= addresses.size();) {
    const size_t end = std::min(addresses.find(',', from), addresses.size());
    options.host_of.push_back(addresses.substr(from, end - from));
    options.process_of.push_back(static_cast<int>(options.block_sizes.size()));
    options.block_sizes.push_back(1);
    from = end + 1;
  }
  options.address = options.host_of.at(static_cast<size_t>(options.process));
  const auto ranks = distribute::make_process_communicators(options);
  const double megabits = std::atof(argv[3]), burst = std::atof(argv[4]) * 8 / (megabits * 1e3);
  const size_t bytes = std::strtoull(argv[5], nullptr, 10);
  const double rate = measure_payload_rate(options, store, *ranks.front(), bytes / 2);
  Bench bench(*ranks.front(), rate, burst, bytes);
  for (const double share : {0.5, 1.0, 2.0}) bench.run(share * kBuckets * bench.wire());
} catch (const Error& error) {
  fmt::print(stderr, "overlap: {}\n", error.what());
  return 1;
}
