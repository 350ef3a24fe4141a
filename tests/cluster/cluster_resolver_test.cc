#include "cohort/cluster/cluster_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cohort/cluster/simple_cluster_resolver.h"
#include "cohort/cluster/union_cluster_resolver.h"
#include "tests/cluster/resolver_support.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using cohort::testing::expect_invalid;
using testing::addresses;
using ::testing::ElementsAre;

ClusterSpec servers_and_workers() {
  return ClusterSpec({{"ps", {"ps0:2222", "ps1:2222"}},
                      {"worker", {"worker0:2222", "worker1:2222", "worker2:2222"}}});
}

std::shared_ptr<const ClusterResolver> simple(ClusterSpec spec, SimpleClusterOptions options = {}) {
  return std::make_shared<SimpleClusterResolver>(std::move(spec), std::move(options));
}

std::shared_ptr<const ClusterResolver> sparse_workers(std::map<int, std::string> tasks) {
  return simple(ClusterSpec::sparse({{"worker", std::move(tasks)}}));
}

UnionClusterResolver unite(std::vector<std::shared_ptr<const ClusterResolver>> resolvers,
                           TaskOverrides overrides = {}) {
  return UnionClusterResolver(std::move(resolvers), std::move(overrides));
}

TEST(AcceleratorsTest, AreCountedByType) {
  std::vector<std::string> devices;
  for (int i = 0; i < 4; ++i)
    devices.push_back("/job:worker/replica:0/task:0/device:GPU:" + std::to_string(i));
  EXPECT_EQ(count_accelerators(devices), (Accelerators{{"GPU", 4}}));
  for (int i = 0; i < 4; ++i)
    devices.push_back("/job:worker/replica:0/task:0/device:TPU:" + std::to_string(i));
  EXPECT_EQ(count_accelerators(devices), (Accelerators{{"GPU", 4}, {"TPU", 4}}));
}

TEST(AcceleratorsTest, OfATaskAreThoseOfItsJobAndIndex) {
  const std::vector<std::string> devices = {
      "/job:worker1/replica:0/task:0/device:TPU:0", "/job:worker1/replica:0/task:0/device:GPU:0",
      "/job:worker2/replica:0/task:3/device:GPU:2", "/job:worker2/replica:0/task:34/device:GPU:3"};
  EXPECT_EQ(count_accelerators(devices, Task{"worker1", 0}),
            (Accelerators{{"TPU", 1}, {"GPU", 1}}));
  EXPECT_EQ(count_accelerators(devices, Task{"worker2", 3}), (Accelerators{{"GPU", 1}}));
  EXPECT_EQ(count_accelerators(devices, Task{"worker2", 4}), Accelerators{});
  const std::vector<std::string> nameless = {"gpu0"};
  expect_invalid({"gpu0"}, [&] { count_accelerators(nameless); });
}

TEST(SimpleClusterResolverTest, MasterIsTheTaskAskedFor) {
  const SimpleClusterResolver resolver(servers_and_workers());
  EXPECT_EQ(resolver.master("worker", 0, "grpc"), "grpc://worker0:2222");
  EXPECT_EQ(resolver.master("worker", 2), "worker2:2222");
  EXPECT_EQ(resolver.master(), "");
  EXPECT_EQ(resolver.num_accelerators(), Accelerators{});
  EXPECT_EQ(SimpleClusterResolver(servers_and_workers(), {.master = "m:1"}).master(), "m:1");
  EXPECT_EQ(SimpleClusterResolver(servers_and_workers(), {.master = "m:1"}).master({}, {}, "test"),
            "test://m:1");
}

TEST(SimpleClusterResolverTest, OptionsAreReturned) {
  const SimpleClusterResolver resolver(servers_and_workers(), {.task_type = "ps",
                                                               .task_id = 1,
                                                               .environment = "cloud",
                                                               .num_accelerators = {{"GPU", 8}},
                                                               .rpc_layer = "grpc"});
  EXPECT_EQ(resolver.task_type(), "ps");
  EXPECT_EQ(resolver.task_id(), 1);
  EXPECT_EQ(resolver.environment(), "cloud");
  EXPECT_EQ(resolver.num_accelerators(), (Accelerators{{"GPU", 8}}));
  EXPECT_EQ(resolver.rpc_layer(), "grpc");
  EXPECT_EQ(resolver.master(), "grpc://ps1:2222");
}

TEST(UnionClusterResolverTest, HasTheJobsOfAll) {
  const auto both = {simple(ClusterSpec({{"ps", {"ps0:2222", "ps1:2222"}}})),
                     simple(ClusterSpec({{"worker", {"worker0:2222", "worker1:2222"}}}))};
  EXPECT_THAT(unite(both).cluster_spec().jobs(), ElementsAre("ps", "worker"));
  EXPECT_EQ(unite(both).master(), "");
  EXPECT_EQ(unite(both).master("worker", 1), "worker1:2222");
  EXPECT_EQ(unite(both, {.rpc_layer = "grpc"}).master("worker", 1), "grpc://worker1:2222");
}

TEST(UnionClusterResolverTest, MasterWithoutATaskIsTheFirsts) {
  const auto first = simple(servers_and_workers(), {.master = "m:1", .rpc_layer = "grpc"});
  EXPECT_EQ(unite({first}).master(), "grpc://m:1");
  EXPECT_EQ(unite({first}).master({}, {}, "test"), "test://m:1");
  EXPECT_EQ(unite({first}).master("worker", 1), "grpc://worker1:2222");
  EXPECT_EQ(unite({first}, {.task_type = "worker", .task_id = 2}).master(), "grpc://worker2:2222");
}

TEST(UnionClusterResolverTest, PropertiesComeFromTheFirst) {
  const auto first = simple(servers_and_workers(), {.task_type = "ps",
                                                    .task_id = 1,
                                                    .environment = "cloud",
                                                    .num_accelerators = {{"GPU", 8}},
                                                    .rpc_layer = "grpc"});
  const auto second =
      simple(ClusterSpec({{"evaluator", {"e:1"}}}), {.task_type = "evaluator",
                                                     .task_id = 0,
                                                     .num_accelerators = {{"GPU", 2}},
                                                     .rpc_layer = "test"});
  const auto resolver = unite({first, second});
  EXPECT_EQ(resolver.task_type(), "ps");
  EXPECT_EQ(resolver.task_id(), 1);
  EXPECT_EQ(resolver.environment(), "cloud");
  EXPECT_EQ(resolver.num_accelerators(), (Accelerators{{"GPU", 8}}));
  EXPECT_EQ(resolver.rpc_layer(), "grpc");
  const auto overridden = unite({first, second}, {.task_type = "worker", .task_id = 0});
  EXPECT_EQ(overridden.task_type(), "worker");
  EXPECT_EQ(overridden.task_id(), 0);
}

TEST(UnionClusterResolverTest, DenseJobsAreConcatenated) {
  const auto resolver = unite({simple(ClusterSpec({{"worker", {"worker4:1", "worker5:1"}}})),
                               simple(ClusterSpec({{"worker", {"worker0:1", "worker1:1"}}}))});
  EXPECT_THAT(addresses(resolver.cluster_spec(), "worker"),
              ElementsAre("worker4:1", "worker5:1", "worker0:1", "worker1:1"));
}

TEST(UnionClusterResolverTest, SparseJobsKeepTheirIndices) {
  const auto resolver = unite({sparse_workers({{5, "worker4:1"}, {9, "worker5:1"}}),
                               sparse_workers({{3, "w0:1"}, {6, "w1:1"}, {7, "w2:1"}})});
  EXPECT_EQ(resolver.cluster_spec(),
            ClusterSpec::sparse(
                {{"worker",
                  {{3, "w0:1"}, {5, "worker4:1"}, {6, "w1:1"}, {7, "w2:1"}, {9, "worker5:1"}}}}));
}

TEST(UnionClusterResolverTest, IndexThatTwoHaveIsAnError) {
  expect_error(Code::kAlreadyExists, {"task 7", "'worker'"}, [] {
    unite({sparse_workers({{7, "a:1"}, {9, "b:1"}}), sparse_workers({{3, "c:1"}, {7, "d:1"}})})
        .cluster_spec();
  });
  expect_error(Code::kAlreadyExists, {"task 1", "'worker'"}, [] {
    unite({simple(ClusterSpec({{"worker", {"a:1", "b:1"}}})),
           sparse_workers({{1, "c:1"}, {2, "d:1"}, {3, "e:1"}})})
        .cluster_spec();
  });
}

TEST(UnionClusterResolverTest, NeedsAResolver) {
  expect_invalid({"no resolver"}, [] { unite({}); });
  expect_invalid({"null"}, [] { unite({nullptr}); });
}

}  // namespace
}  // namespace cohort::cluster
