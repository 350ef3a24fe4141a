#include "cohort/distribute/transport/link_cost.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

TEST(LinkCostTest, OneHopPaysWhereLatencyCostsMoreThanBytes) {
  // 4 nodes: one hop sends 3 b, two send 1.5 b; 20 us at 1 GB/s are 20,000 bytes.
  EXPECT_EQ(one_hop_bytes({.latency = 20e-6, .bandwidth = 1e9}, 4), 13333u);
  EXPECT_GT(one_hop_bytes({.latency = 20e-6, .bandwidth = 1e9}, 3),
            one_hop_bytes({.latency = 20e-6, .bandwidth = 1e9}, 4));
  EXPECT_EQ(one_hop_bytes({.latency = 20e-6, .bandwidth = 1e9}, 64), 4096u);
  EXPECT_EQ(one_hop_bytes({.latency = 1, .bandwidth = 1e9}, 4), 65536u);
  EXPECT_EQ(one_hop_bytes({.latency = 1e-9, .bandwidth = 1}, 2), 65536u);
}

class LinkCostConcurrentTest : public ::testing::Test {
 protected:
  static constexpr size_t kNodes = 5;

  LinkCostConcurrentTest() : links_(kNodes) {
    for (auto& row : links_) row.resize(kNodes);
    const auto maker = make_plain_connections();
    for (size_t a = 0; a < kNodes; ++a)
      for (size_t b = 0; b < a; ++b) {
        int ends[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        links_[a][b] = maker->make(FileDescriptor(ends[0]), Side::kCaller);
        links_[b][a] = maker->make(FileDescriptor(ends[1]), Side::kListener);
      }
  }

  LinkCost measure(size_t node, std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
    return measure_links(links_[node], {.store = &store_,
                                        .key = "links",
                                        .node = static_cast<int>(node),
                                        .names = {"node 0", "node 1", "node 2", "node 3", "node 4"},
                                        .timeout = timeout});
  }

  cluster::LocalKeyValueStore store_;
  std::vector<std::vector<std::unique_ptr<Connection>>> links_;
};

TEST_F(LinkCostConcurrentTest, EveryNodeHasTheSameMeasure) {
  std::vector<LinkCost> costs(kNodes);
  std::vector<std::thread> nodes;
  for (size_t n = 0; n < kNodes; ++n) nodes.emplace_back([&, n] { costs[n] = measure(n); });
  for (std::thread& node : nodes) node.join();
  EXPECT_GT(costs[0].latency, 0);
  EXPECT_GT(costs[0].bandwidth, 0);
  for (const LinkCost& cost : costs) {
    EXPECT_EQ(cost.latency, costs[0].latency);
    EXPECT_EQ(cost.bandwidth, costs[0].bandwidth);
  }
}

TEST_F(LinkCostConcurrentTest, ANodeThatDoesNotAnswerIsNamed) {
  testing::expect_error(Code::kDeadlineExceeded, {"node 1"},
                        [&] { measure(0, std::chrono::milliseconds(50)); });
}

TEST_F(LinkCostConcurrentTest, ANodeThatHasGoneIsNamed) {
  links_[1][0].reset();
  testing::expect_error(Code::kUnavailable, {"node 1"}, [&] { measure(0); });
}

}  // namespace
}  // namespace cohort::distribute
