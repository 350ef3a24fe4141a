#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cohort/cluster/key_value_store.h"
#include "cohort/core/runtime/communicator.h"
#include "cohort/distribute/process_group.h"
#include "tests/support/built_with.h"

namespace cohort::distribute {

/// A group without its store and process: `num_ranks` ranks of one replica, one in each process,
/// all on one host, that wait 20 s for each other.
ProcessGroupOptions group_of(int num_ranks);

// The same on one host, over TCP alone, on hosts of two processes, and on hosts such that
// neighbours in the tree are apart.
ProcessGroupOptions shared_memory(int num_ranks);
ProcessGroupOptions tcp(int num_ranks);
ProcessGroupOptions hosts_of_two(int num_ranks);
ProcessGroupOptions scattered(int num_ranks);

struct NamedTopology {
  const char* name;
  ProcessGroupOptions (*make)(int num_ranks);
};
inline constexpr NamedTopology kTopologies[] = {{"SharedMemory", shared_memory},
                                                {"Tcp", tcp},
                                                {"HostsOfTwo", hosts_of_two},
                                                {"Scattered", scattered}};
inline std::string topology_name(const ::testing::TestParamInfo<NamedTopology>& info) {
  return info.param.name;
}
inline void PrintTo(const NamedTopology& topology, std::ostream* out) { *out << topology.name; }

/// Runs `body` on every rank of the group. Processes and ranks are threads, which find each other
/// through a store of this process. Returns what each rank threw, making the group included.
std::vector<std::optional<Error>> run_ranks(ProcessGroupOptions options,
                                            const std::function<void(Communicator&)>& body);

/// Elements of a large buffer: many chunks of every transport. A sanitizer, under which a loop over
/// them is the whole of a test's time, sees no more in many chunks than in a few.
inline const int64_t kManyElements = testing::built_with::sanitizer ? 200'000 : 1 << 20;
inline const int64_t kSomeElements = testing::built_with::sanitizer ? 40'000 : 100'000;

/// How a real process ended.
struct Ended {
  int status = 0;              ///< as from waitpid
  std::optional<Error> error;  ///< what `body` threw
};

/// Runs `body` in one forked process for each process of the group, each with its first rank's
/// communicator. Returns when all have ended.
std::vector<Ended> run_processes(const ProcessGroupOptions& options,
                                 const std::function<void(Communicator&)>& body);

/// Inexact in every floating dtype, so that the order of additions shows.
template <class T>
T value_of(int rank, int64_t i, int round) {
  const auto mixed = static_cast<uint64_t>(i * 7919 + rank * 104729 + round * 31) * 2654435761u;
  return static_cast<T>(static_cast<float>(mixed >> 8 & 0xfff) / 7.0f);
}

/// Expects no error of any rank.
void expect_no_errors(const std::vector<std::optional<Error>>& errors);

}  // namespace cohort::distribute
