// All-reduce of floats over TCP beside what the same link does by itself, in the same processes,
// sample by sample in turn. The raw peer sends and receives as many bytes as each rank of the
// all-reduce must, into memory as large as they are, and adds them once.
//   collectives_tcp RANK FOLDER SECONDS_PER_SIZE ADDRESS,ADDRESS [BYTES...]
// Where FOLDER has ca.pem, task.pem and task.key, both go through TLS.
// Two processes, which meet in FOLDER. Rank 0 prints "bytes raw low high ours low high ratio wire
// variant bare": microseconds until both ranks are done (medians and quartiles), the raw time over
// ours, the bytes that a rank sent over the least possible, the fastest way to use the link, and
// the time of the link alone, which receives into one piece again and again and adds nothing.
// benchmarks/collectives_tcp.sh runs it.

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "benchmarks/private_memory.h"
#include "benchmarks/raw_link.h"
#include "benchmarks/spread.h"
#include "cohort/core/error.h"
#include "cohort/distribute/process_group.h"
#include "cohort/distribute/transport/tls_connection.h"
#include "tests/support/folder_store.h"

namespace {

using namespace cohort;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

class Bench {
 public:
  /// `variants`: of kVariants, so many.
  Bench(RawLink& raw, RawLink& control, Communicator& ours, size_t variants)
      : raw_(raw), control_(control), ours_(ours), num_variants_(variants) {}

  void run(size_t bytes, double seconds) {
    const auto count = static_cast<int64_t>(bytes / sizeof(float));
    const auto memory = ours_.allocate_bucket(bytes);
    void* bucket = memory.get();
    float* const out = private_memory(bytes);
    auto* const in = reinterpret_cast<char*>(private_memory(bytes));
    float* const sums_of_peer = private_memory(bytes);
    const auto request = ours_.prepare({.count = count, .buffer = &bucket});
    const auto all_reduce = [&] {
      request->start();
      request->wait();
    };
    time(static_cast<float*>(bucket), count, all_reduce);  // describes itself to the others
    const CommunicatorStats before = ours_.stats();
    std::vector<std::vector<double>> raw(num_variants_), bare(num_variants_);
    std::vector<double> mine;
    const auto begin = Clock::now();
    const auto exchange = [&](size_t v, RawLink::Into in) {
      return time(out, count, [&] {
        (raw_.*kVariants[v].exchange)(reinterpret_cast<char*>(out), in, bytes, kVariants[v].piece);
      });
    };
    while (go_on(since(begin) < seconds * 1e6 || mine.size() < 5)) {
      for (size_t v = 0; v < num_variants_; ++v) {
        raw[v].push_back(exchange(v, {.memory = in, .sums = sums_of_peer}));
        bare[v].push_back(exchange(v, {.memory = in, .whole = false}));
      }
      mine.push_back(time(static_cast<float*>(bucket), count, all_reduce));
      const float* sums = static_cast<float*>(bucket);
      if (std::any_of(sums, sums + count, [](float sum) { return sum != 3.0f; }))
        throw Internal("a sum is wrong");
    }
    const CommunicatorStats after = ours_.stats();
    const double sent = static_cast<double>(after.network_bytes - before.network_bytes) +
                        static_cast<double>(after.network_frames - before.network_frames) * 32;
    // 2 (n - 1) / n of the bytes, for n = 2.
    const double wire = sent / (static_cast<double>(mine.size()) * static_cast<double>(bytes));
    if (ours_.rank() == 0) report(bytes, raw, bare, mine, wire);
  }

 private:
  /// Ways to use the raw link; the fastest for a size counts.
  struct Variant {
    void (RawLink::*exchange)(const char*, RawLink::Into, size_t, size_t);
    size_t piece;
  };
  inline static const std::vector<Variant> kVariants{
      {&RawLink::exchange, size_t{128} << 10},
      {&RawLink::exchange, size_t{256} << 10},
      {&RawLink::exchange, size_t{1} << 20},
      {&RawLink::exchange_with_threads, size_t{256} << 10}};

  using Samples = std::vector<std::vector<double>>;  // by variant

  static size_t fastest(const Samples& samples) {
    size_t best = 0;
    for (size_t v = 1; v < samples.size(); ++v)
      if (Spread(samples[v]).median < Spread(samples[best]).median) best = v;
    return best;
  }

  static void report(size_t bytes, const Samples& raw, const Samples& bare,
                     const std::vector<double>& mine, double wire) {
    const Spread ours(mine);
    const size_t best = fastest(raw);
    const Spread peer(raw[best]);
    fmt::print("{} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.3f} {:.5f} {} {:.1f}\n", bytes,
               peer.median, peer.low, peer.high, ours.median, ours.low, ours.high,
               peer.median / ours.median, wire, best, Spread(bare[fastest(bare)]).median);
    std::fflush(stdout);
  }

  /// Rank 0 decides for both.
  bool go_on(bool mine) {
    const bool theirs = control_.swap(mine);
    return ours_.rank() == 0 ? mine : theirs;
  }

  /// Microseconds of one call until both ranks are done, after a rewrite of the whole buffer.
  template <class Call>
  double time(float* values, int64_t count, Call&& call) {
    std::fill_n(values, count, static_cast<float>(ours_.rank() + 1));
    control_.swap('r');
    const auto begin = Clock::now();
    call();
    const double mine = since(begin);
    return std::max(mine, control_.swap(mine));
  }

  RawLink& raw_;
  RawLink& control_;
  Communicator& ours_;
  const size_t num_variants_;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 5) {
    fmt::print("usage: collectives_tcp RANK FOLDER SECONDS_PER_SIZE ADDRESS,ADDRESS [BYTES...]\n");
    return 1;
  }
  const int rank = std::atoi(argv[1]);
  const std::string folder = argv[2];
  test::FolderStore store(folder);
  const std::string addresses = argv[4];
  const std::string mine = rank == 0 ? addresses.substr(0, addresses.find(','))
                                     : addresses.substr(addresses.find(',') + 1);
  const std::string peer = rank == 0 ? addresses.substr(addresses.find(',') + 1)
                                     : addresses.substr(0, addresses.find(','));
  const std::string& listens = rank == 0 ? mine : peer;
  const bool encrypts = std::filesystem::exists(folder + "/task.key");
  const cluster::TlsKeys keys =
      encrypts
          ? cluster::read_tls_keys({folder + "/ca.pem", folder + "/task.pem", folder + "/task.key"})
          : cluster::TlsKeys{};
  const auto connections =
      encrypts ? distribute::make_tls_connections(keys) : distribute::make_plain_connections();
  RawLink raw(rank == 0, listens, store, "raw", *connections);
  RawLink control(rank == 0, listens, store, "control");
  const auto ranks = distribute::make_process_communicators({.block_sizes = {1, 1},
                                                             .process_of = {0, 1},
                                                             .process = rank,
                                                             .host_of = {"first", "second"},
                                                             .store = &store,
                                                             .name = "bench",
                                                             .address = mine,
                                                             .tls = keys});
  // Two threads cannot use one connection of TLS.
  Bench bench(raw, control, *ranks.front(), encrypts ? 3 : 4);
  std::vector<size_t> sizes;
  for (int i = 5; i < argc; ++i) sizes.push_back(std::strtoull(argv[i], nullptr, 10));
  if (sizes.empty())
    for (size_t bytes = size_t{64} << 10; bytes <= size_t{64} << 20; bytes *= 4)
      sizes.push_back(bytes);
  for (const size_t bytes : sizes) bench.run(bytes, std::atof(argv[3]));
} catch (const Error& error) {
  fmt::print(stderr, "collectives_tcp: {}\n", error.what());
  return 1;
}
