// What the counters of every transport say, to the byte.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "cohort/distribute/transport/tree_split.h"
#include "tests/distribute/carriers.h"

namespace cohort::distribute {
namespace {

class CommunicatorBytesConcurrentTest : public ::testing::TestWithParam<Carrier> {};

INSTANTIATE_TEST_SUITE_P(Of, CommunicatorBytesConcurrentTest, ::testing::ValuesIn(kCarriers),
                         carrier_name);

/// Where the ranks are, and what of each host's goes over a network.
struct Hosts {
  Hosts(const Carrier& carrier, const Blocks& blocks) : size(static_cast<int>(blocks.size())) {
    std::vector<std::string> names(blocks.size(), "here");
    bool apart = false;
    if (carrier.make) {
      const ProcessGroupOptions options = carrier.make(size);
      names = options.host_of;
      apart = options.transport == Transport::kTcp;
    }
    std::vector<std::string> hosts;
    for (int rank = 0; rank < size; ++rank) {
      const std::string name = apart ? std::to_string(rank) : names[static_cast<size_t>(rank)];
      auto it = std::find(hosts.begin(), hosts.end(), name);
      if (it == hosts.end()) it = hosts.insert(it, name);
      host_of.push_back(static_cast<int>(it - hosts.begin()));
      first.push_back(static_cast<size_t>(host_of.back()) == ranks.size());
      if (first.back()) ranks.push_back(0);
      ++ranks[static_cast<size_t>(host_of.back())];
    }
    for (const auto& of_host : TreeSplit(blocks, host_of, count()).roots)
      roots.push_back(of_host.size());
  }
  int count() const { return static_cast<int>(ranks.size()); }

  int size;
  std::vector<int> host_of;     ///< of each rank
  std::vector<bool> first;      ///< rank of its host
  std::vector<uint64_t> ranks;  ///< on each host
  std::vector<uint64_t> roots;  ///< sums that the tree leaves on each host
};

/// What each rank's counter must say, by the closed forms, of buffers of `bytes`.
std::vector<uint64_t> closed_form(CollectiveKind kind, const Hosts& hosts, uint64_t bytes,
                                  int root) {
  const auto n = static_cast<uint64_t>(hosts.size), h = static_cast<uint64_t>(hosts.count());
  std::vector<uint64_t> want;
  for (size_t rank = 0; rank < n; ++rank) {
    const auto host = static_cast<size_t>(hosts.host_of[rank]);
    const bool has_root = hosts.host_of[static_cast<size_t>(root)] == hosts.host_of[rank];
    const uint64_t here = hosts.ranks[host];
    if (h == 1 && kind == CollectiveKind::kReduceScatter)
      want.push_back((n - 1) * bytes / n);
    else if (h == 1 && kind == CollectiveKind::kAllGather)
      want.push_back((n - 1) * bytes);
    else if (h == 1)
      want.push_back(static_cast<int>(rank) == root ? 0 : bytes);
    else if (!hosts.first[rank])
      want.push_back(0);
    else if (kind == CollectiveKind::kReduceScatter)
      want.push_back(hosts.roots[host] * (n - here) * bytes / n);
    else if (kind == CollectiveKind::kAllGather)
      want.push_back((h - 1) * here * bytes);
    else
      want.push_back(has_root ? (h - 1) * bytes : 0);
  }
  return want;
}

std::vector<uint64_t> measured(const Carrier& carrier, CollectiveKind kind, const Blocks& blocks,
                               int64_t count, int root) {
  std::vector<uint64_t> bytes(blocks.size());
  expect_no_errors(carrier.run(blocks, [&](Communicator& rank) {
    const Buffer<float> buffer(rank, count, true);
    const Buffer<float> output(rank, count * static_cast<int64_t>(blocks.size()), true);
    const auto request = rank.prepare({.kind = kind,
                                       .count = count,
                                       .root = root,
                                       .buffer = &buffer.slot,
                                       .output = &output.slot});
    const uint64_t calls = rank.stats()[kind].calls;
    for (int round = 0; round < 3; ++round) call(*request);
    const CommunicatorStats stats = rank.stats();
    if (stats[kind].calls != calls + 3) throw Internal("got {} calls", stats[kind].calls);
    bytes[static_cast<size_t>(rank.rank())] = stats[kind].payload_bytes;
  }));
  return bytes;
}

TEST_P(CommunicatorBytesConcurrentTest, PayloadBytesAreTheClosedForms) {
  for (const CollectiveKind kind :
       {CollectiveKind::kReduceScatter, CollectiveKind::kAllGather, CollectiveKind::kBroadcast})
    for (const int size : {1, 2, 3, 4})
      for (const int64_t each : {0, 1, 7, 4099, 100003}) {
        const Blocks blocks(static_cast<size_t>(size), 1);
        const int64_t count = each * size;
        const int root = size - 1;
        SCOPED_TRACE(fmt::format("{} of {} on {} ranks", collective_name(kind), count, size));
        std::vector<uint64_t> want =
            closed_form(kind, Hosts(GetParam(), blocks), static_cast<uint64_t>(count) * 4, root);
        for (uint64_t& bytes : want) bytes *= 3;
        EXPECT_EQ(measured(GetParam(), kind, blocks, count, root), want);
      }
}

// Ranks add whole cache lines, so the sum over all of them is exact for every size, and each one's
// where the lines divide.
TEST_P(CommunicatorBytesConcurrentTest, AnAllReduceMovesTwiceTheBufferButForTheOwnParts) {
  for (const int size : {1, 2, 3, 4})
    for (const int64_t count : {int64_t{20}, int64_t{999}, int64_t{size} * 65536 + 5,
                                int64_t{size} * 65536, int64_t{size} * 100000}) {
      const Blocks blocks(static_cast<size_t>(size), 1);
      const Hosts hosts(GetParam(), blocks);
      const auto n = static_cast<uint64_t>(size), h = static_cast<uint64_t>(hosts.count());
      const uint64_t bytes = static_cast<uint64_t>(count) * 4;
      SCOPED_TRACE(fmt::format("{} elements on {} ranks", count, size));
      const std::vector<uint64_t> got =
          measured(GetParam(), CollectiveKind::kAllReduce, blocks, count, 0);
      const uint64_t all = std::accumulate(got.begin(), got.end(), uint64_t{0});
      if (h == 1) {
        EXPECT_EQ(all, 3 * 2 * (n - 1) * bytes);
      } else if (bytes <= 4096) {  // one hop
        uint64_t roots = 0;
        for (const uint64_t of_host : hosts.roots) roots += of_host;
        EXPECT_EQ(all, 3 * (h - 1) * roots * bytes);
      } else if (hosts.roots == std::vector<uint64_t>(hosts.roots.size(), 1)) {
        EXPECT_EQ(all, 3 * 2 * (h - 1) * bytes);
      }
      if (count % (16 * size) != 0 || (h > 1 && h < n)) continue;
      for (const uint64_t each : got) EXPECT_EQ(each, 3 * 2 * (n - 1) * bytes / n);
    }
}

}  // namespace
}  // namespace cohort::distribute
