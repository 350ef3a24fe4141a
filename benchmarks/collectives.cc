// All-reduce of floats in shared memory beside MPI_Allreduce, in the same processes, sample by
// sample in turn. Each call follows a rewrite of the whole buffer, as a gradient would be, and a
// barrier.
//   mpirun -np N collectives LIBMPI_PEER SECONDS_PER_SIZE [BYTES...]
// Prints "ranks bytes mpi bucket private bucket_ratio private_ratio": microseconds (medians of rank
// 0) and how many times faster than MPI. benchmarks/collectives.sh runs it with MPI's best
// settings.

#include <dlfcn.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "benchmarks/private_memory.h"
#include "cohort/core/error.h"
#include "cohort/distribute/process_group.h"
#include "tests/support/folder_store.h"

namespace {

using namespace cohort;
using Clock = std::chrono::steady_clock;

/// benchmarks/peers/mpi_peer.c
struct MpiPeer {
  explicit MpiPeer(const char* path) : library(dlopen(path, RTLD_NOW | RTLD_GLOBAL)) {
    if (!library) throw NotFound("{}", dlerror());
    find("mpi_peer_start", start);
    find("mpi_peer_all_reduce", all_reduce);
    find("mpi_peer_broadcast", broadcast);
    find("mpi_peer_end", end);
    start(&rank, &size);
  }
  template <class Function>
  void find(const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(dlsym(library, name));
  }

  void* library;
  void (*start)(int*, int*) = nullptr;
  void (*all_reduce)(float*, int) = nullptr;
  void (*broadcast)(char*, int) = nullptr;
  void (*end)() = nullptr;
  int rank = 0, size = 0;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

class Bench {
 public:
  Bench(MpiPeer& mpi, Communicator& ours) : mpi_(mpi), ours_(ours) {
    token_ = ours.allocate_bucket(64);
    token_data_ = token_.get();
    barrier_ = ours.prepare(
        {.dtype = DType::kI32, .count = 1, .op = ops::ReduceOp::kMax, .buffer = &token_data_});
  }

  void run(size_t bytes, double seconds) {
    const auto count = static_cast<int64_t>(bytes / sizeof(float));
    const auto bucket_memory = ours_.allocate_bucket(bytes);
    float* const mpi_buffer = private_memory(bytes);
    void* bucket = bucket_memory.get();
    void* own = private_memory(bytes);
    const auto in_bucket = ours_.prepare({.count = count, .buffer = &bucket});
    const auto in_private = ours_.prepare({.count = count, .buffer = &own});
    std::vector<double> mpi, buckets, privates;
    const auto begin = Clock::now();
    for (int sample = 0; go_on(begin, seconds, sample); ++sample) {
      mpi.push_back(
          time(mpi_buffer, count, [&] { mpi_.all_reduce(mpi_buffer, static_cast<int>(count)); }));
      const auto call = [](Communicator::Request& request) {
        request.start();
        request.wait();
      };
      buckets.push_back(time(static_cast<float*>(bucket), count, [&] { call(*in_bucket); }));
      privates.push_back(time(static_cast<float*>(own), count, [&] { call(*in_private); }));
    }
    const double a = median(mpi), b = median(buckets), c = median(privates);
    if (ours_.rank() == 0)
      fmt::print("{} {} {:.2f} {:.2f} {:.2f} {:.2f} {:.2f}\n", ours_.size(), bytes, a, b, c, a / b,
                 a / c);
    std::fflush(stdout);
  }

 private:
  /// Rank 0 decides for all.
  bool go_on(Clock::time_point begin, double seconds, int sample) {
    const std::chrono::duration<double> took = Clock::now() - begin;
    *static_cast<int32_t*>(token_data_) =
        ours_.rank() == 0 && (sample < 5 || took.count() < seconds) ? 1 : 0;
    meet();
    return *static_cast<int32_t*>(token_data_) == 1;
  }

  void meet() {
    barrier_->start();
    barrier_->wait();
  }

  /// Microseconds of one call, after a rewrite; checks the sum.
  template <class Call>
  double time(float* values, int64_t count, Call&& call) {
    std::fill_n(values, count, static_cast<float>(ours_.rank() + 1));
    *static_cast<int32_t*>(token_data_) = 0;
    meet();
    const auto begin = Clock::now();
    call();
    const std::chrono::duration<double, std::micro> took = Clock::now() - begin;
    const float want = static_cast<float>(ours_.size() * (ours_.size() + 1)) / 2;
    for (int64_t i = 0; i < count; ++i)
      if (values[i] != want) throw Internal("got {}; want {}", values[i], want);
    return took.count();
  }

  MpiPeer& mpi_;
  Communicator& ours_;
  std::shared_ptr<void> token_;
  void* token_data_;
  std::unique_ptr<Communicator::Request> barrier_;
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) {
    fmt::print("usage: mpirun -np N collectives LIBMPI_PEER SECONDS_PER_SIZE [BYTES...]\n");
    return 1;
  }
  MpiPeer mpi(argv[1]);
  char folder[] = "/tmp/cohort-collectives-XXXXXX";
  if (mpi.rank == 0 && !mkdtemp(folder)) return 1;
  mpi.broadcast(folder, sizeof folder);
  {
    test::FolderStore store{std::string(folder)};
    distribute::ProcessGroupOptions options{.process = mpi.rank, .store = &store, .name = "bench"};
    for (int rank = 0; rank < mpi.size; ++rank) {
      options.block_sizes.push_back(1);
      options.process_of.push_back(rank);
      options.host_of.push_back("here");
    }
    const auto ranks = distribute::make_process_communicators(options);
    if (mpi.rank == 0) std::filesystem::remove_all(folder);
    Bench bench(mpi, *ranks.front());
    std::vector<size_t> sizes;
    for (int i = 3; i < argc; ++i) sizes.push_back(std::strtoull(argv[i], nullptr, 10));
    if (sizes.empty())
      for (size_t bytes = 8; bytes <= size_t{256} << 20; bytes *= bytes == 8 ? 512 : 4)
        sizes.push_back(bytes);
    for (const size_t bytes : sizes) bench.run(bytes, std::atof(argv[2]));
  }
  mpi.end();
} catch (const cohort::Error& error) {
  fmt::print(stderr, "collectives: {}\n", error.what());
  return 1;
}
