#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cohort/distribute/in_process_communicator.h"
#include "tests/distribute/group_harness.h"

namespace cohort::distribute {

using Blocks = std::vector<int>;
using Body = std::function<void(Communicator&)>;

/// Runs `body` on every rank of a group in this process, each a thread; returns what each threw.
inline std::vector<std::optional<Error>> run_ranks(InProcessOptions options, const Body& body) {
  const auto ranks = make_in_process_communicators(std::move(options));
  std::vector<std::optional<Error>> errors(ranks.size());
  std::vector<std::thread> threads;
  for (size_t r = 0; r < ranks.size(); ++r)
    threads.emplace_back([&, r] {
      try {
        body(*ranks[r]);
      } catch (const Error& error) {
        errors[r] = error;
      }
    });
  for (std::thread& thread : threads) thread.join();
  return errors;
}

/// What carries the ranks, which are threads of this process; without `make` the in-process
/// communicator.
struct Carrier {
  const char* name;
  ProcessGroupOptions (*make)(int num_ranks);

  std::vector<std::optional<Error>> run(const Blocks& blocks, const Body& body) const {
    if (!make)
      return run_ranks(InProcessOptions{.block_sizes = blocks, .timeout = std::chrono::seconds(20)},
                       body);
    ProcessGroupOptions options = make(static_cast<int>(blocks.size()));
    options.block_sizes = blocks;
    return run_ranks(options, body);
  }
};

inline constexpr Carrier kCarriers[] = {{"InProcess", nullptr},
                                        {"SharedMemory", shared_memory},
                                        {"Tcp", tcp},
                                        {"HostsOfTwo", hosts_of_two},
                                        {"Scattered", scattered}};
inline std::string carrier_name(const ::testing::TestParamInfo<Carrier>& info) {
  return info.param.name;
}
inline void PrintTo(const Carrier& carrier, std::ostream* out) { *out << carrier.name; }

inline void call(Communicator::Request& request) {
  request.start();
  request.wait();
}

/// Memory of one rank: from allocate_bucket or its own.
template <class T>
struct Buffer {
  Buffer(Communicator& rank, int64_t num_elements, bool in_bucket)
      : count(num_elements), own(in_bucket ? 0 : static_cast<size_t>(count)) {
    if (in_bucket) bucket = rank.allocate_bucket(static_cast<size_t>(count) * sizeof(T));
    slot = in_bucket ? bucket.get() : own.data();
  }
  T* data() const { return static_cast<T*>(slot); }
  int64_t count;
  std::vector<T> own;
  std::shared_ptr<void> bucket;
  void* slot;
};

}  // namespace cohort::distribute
