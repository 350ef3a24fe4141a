#include "cohort/cluster/tf_config_cluster_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cluster/resolver_support.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_invalid;
using testing::addresses;
using ::testing::ElementsAre;

const std::string kCluster =
    R"("cluster": {"ps": ["ps0:2222", "ps1:2222"],
                   "worker": ["worker0:2222", "worker1:2222", "worker2:2222"]})";
const std::string kPs0 = R"("task": {"type": "ps", "index": 0})";

TFConfigClusterResolver resolver(const std::string& tf_config, TFConfigOptions options = {}) {
  return TFConfigClusterResolver(testing::environment({{"TF_CONFIG", tf_config}}),
                                 std::move(options));
}

TFConfigClusterResolver with_cluster(const std::string& rest, TFConfigOptions options = {}) {
  return resolver("{" + kCluster + ", " + rest + "}", std::move(options));
}

TEST(TFConfigClusterResolverTest, ClusterHasTheAddressesGiven) {
  const ClusterSpec spec = with_cluster(kPs0).cluster_spec();
  EXPECT_THAT(addresses(spec, "ps"), ElementsAre("ps0:2222", "ps1:2222"));
  EXPECT_THAT(addresses(spec, "worker"),
              ElementsAre("worker0:2222", "worker1:2222", "worker2:2222"));
}

TEST(TFConfigClusterResolverTest, MasterIsThisTaskOrTheOneAskedFor) {
  EXPECT_EQ(with_cluster(kPs0).master(), "ps0:2222");
  EXPECT_EQ(with_cluster(kPs0).master("worker", 1), "worker1:2222");
}

TEST(TFConfigClusterResolverTest, SessionMasterComesFirst) {
  const auto tf_config = with_cluster(kPs0 + R"(, "session_master": "sessionmaster:2222")");
  EXPECT_EQ(tf_config.master(), "sessionmaster:2222");
  EXPECT_EQ(tf_config.master("worker", 1), "sessionmaster:2222");
}

TEST(TFConfigClusterResolverTest, RpcLayerStandsBeforeTheMaster) {
  const auto tf_config = with_cluster(kPs0 + R"(, "rpc_layer": "grpc")");
  EXPECT_EQ(tf_config.master(), "grpc://ps0:2222");
  EXPECT_EQ(tf_config.task_type(), "ps");
  EXPECT_EQ(tf_config.task_id(), 0);
  EXPECT_EQ(tf_config.rpc_layer(), "grpc");
}

TEST(TFConfigClusterResolverTest, OverridesBeatTheVariable) {
  const std::string rest = R"("task": {"type": "ps", "index": 1}, "rpc_layer": "grpc")";
  const auto ps = with_cluster(rest, {.overrides = {.task_type = "ps", .task_id = 0}});
  EXPECT_EQ(ps.master(), "grpc://ps0:2222");
  EXPECT_EQ(ps.task_type(), "ps");
  EXPECT_EQ(ps.task_id(), 0);
  const auto worker =
      with_cluster(rest, {.overrides = {.task_type = "worker", .task_id = 1, .rpc_layer = "test"}});
  EXPECT_EQ(worker.master(), "test://worker1:2222");
  const auto same_type = resolver(
      R"({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": "0"}})",
      {.overrides = {.task_id = 1}});
  EXPECT_EQ(same_type.task_id(), 1);
}

TEST(TFConfigClusterResolverTest, TypeMayBeANumberAndIndexAString) {
  const auto type = resolver(
      R"({"cluster": {"123456": ["a:1"], "worker": ["b:1"]}, "task": {"type": 123456, "index": 0}})");
  EXPECT_EQ(type.task_type(), "123456");
  EXPECT_EQ(with_cluster(R"("task": {"type": "worker", "index": "1"})").task_id(), 1);
}

TEST(TFConfigClusterResolverTest, NothingToAddressIsAnEmptyMaster) {
  EXPECT_EQ(resolver("{}").master(), "");
  EXPECT_EQ(resolver(R"({"cluster": {"worker": ["worker0:2222"]}})").master(), "");
  EXPECT_EQ(TFConfigClusterResolver(Environment()).master(), "");
  EXPECT_EQ(TFConfigClusterResolver(Environment()).cluster_spec(), ClusterSpec());
  EXPECT_EQ(resolver("{}").task_type(), std::nullopt);
  EXPECT_EQ(resolver("{}").task_id(), std::nullopt);
}

TEST(TFConfigClusterResolverTest, OneTaskOfASparseJobHasAnAddress) {
  // TensorFlow counts the indices up to the last: {"3": …} has four, {"0": …} one.
  const auto alone = [](const std::string& index) {
    return resolver(R"({"cluster": {"worker": {")" + index +
                    R"(": "a:1"}}, "task": {"type": "worker", "index": )" + index + "}}")
        .master();
  };
  EXPECT_EQ(alone("3"), "a:1");
  EXPECT_EQ(alone("0"), "");
}

TEST(TFConfigClusterResolverTest, MasterOfNoTaskIsAnError) {
  const auto tf_config = with_cluster(R"("task": {"index": 1})");
  expect_invalid({"TF_CONFIG", "no task", "master()"}, [&] { tf_config.master(); });
  EXPECT_EQ(tf_config.master("worker"), "worker1:2222");
  EXPECT_EQ(tf_config.master("worker", 2, "test"), "test://worker2:2222");
  expect_invalid({"no such job 'chief'"}, [&] { tf_config.master("chief"); });
}

TEST(TFConfigClusterResolverTest, DynamicWorkersOfTFJobSeeThemselvesAndTheServers) {
  const auto tf_config = resolver(
      R"({"sparseCluster": {"worker": {"1": "h1:2222"}, "ps": ["p0:2222"]},
          "task": {"type": "worker", "index": 1}})");
  EXPECT_EQ(tf_config.cluster_spec(),
            ClusterSpec::sparse({{"ps", {{0, "p0:2222"}}}, {"worker", {{1, "h1:2222"}}}}));
  EXPECT_TRUE(tf_config.has_sparse_cluster());
  EXPECT_EQ(tf_config.master(), "h1:2222");
  EXPECT_FALSE(with_cluster(kPs0).has_sparse_cluster());
  // A job without parameter servers.
  EXPECT_EQ(resolver(R"({"sparseCluster": {"worker": {"1": "h1:2222"}, "ps": null}})")
                .cluster_spec()
                .num_tasks("ps"),
            0);
  expect_invalid({"sparseCluster", "one of them"}, [] {
    with_cluster(R"("sparseCluster": {"worker": {"1": "h1:2222"}})").cluster_spec();
  });
}

TEST(TFConfigClusterResolverTest, DevicesAreCountedForTheTask) {
  std::vector<std::string> devices;
  for (const char* name :
       {"worker1/replica:0/task:0/device:TPU:0", "worker1/replica:0/task:0/device:TPU:1",
        "worker1/replica:0/task:0/device:GPU:0", "worker1/replica:0/task:0/device:GPU:1",
        "worker1/replica:0/task:0/device:CPU:0", "worker2/replica:0/task:1/device:TPU:2",
        "worker2/replica:0/task:2/device:TPU:3", "worker2/replica:0/task:3/device:GPU:2",
        "worker2/replica:0/task:4/device:GPU:3", "worker2/replica:0/task:33/device:GPU:4"})
    devices.push_back(std::string("/job:") + name);
  const auto tf_config = resolver(
      R"({"cluster": {"worker1": ["w10:1"], "worker2": ["w20:1", "w21:1", "w22:1", "w23:1"]},
          "task": {"type": "worker1", "index": "0"}})",
      {.devices = devices});
  EXPECT_EQ(tf_config.num_accelerators(), (Accelerators{{"TPU", 2}, {"GPU", 2}}));
  EXPECT_EQ(tf_config.num_accelerators("worker2", 3), (Accelerators{{"GPU", 1}}));
}

TEST(TFConfigClusterResolverTest, SparseJobIsAnObject) {
  const ClusterSpec spec =
      resolver(R"({"cluster": {"worker": {"0": "a:1", "3": "b:1"}}})").cluster_spec();
  EXPECT_EQ(spec, ClusterSpec::sparse({{"worker", {{0, "a:1"}, {3, "b:1"}}}}));
}

TEST(TFConfigClusterResolverTest, EnvironmentIsTheVariablesOrTheCallers) {
  EXPECT_EQ(resolver(R"({"environment": "cloud"})").environment(), "cloud");
  EXPECT_EQ(resolver("{}").environment(), "");
  EXPECT_EQ(resolver("{}", {.environment = "google"}).environment(), "google");
}

TEST(TFConfigClusterResolverTest, MembersOfTheWrongKindAreNamed) {
  expect_invalid({"TF_CONFIG", "not JSON"}, [] { resolver("{").cluster_spec(); });
  expect_invalid({"TF_CONFIG", "[1]", "object"}, [] { resolver("[1]").cluster_spec(); });
  expect_invalid({"cluster", "\"worker\""}, [] { resolver(R"({"cluster": []})").cluster_spec(); });
  expect_invalid({"job 'worker'", "7"},
                 [] { resolver(R"({"cluster": {"worker": 7}})").cluster_spec(); });
  expect_invalid({"job 'worker'", "null"},
                 [] { resolver(R"({"cluster": {"worker": [null]}})").cluster_spec(); });
  expect_invalid({"task, index", "-1"},
                 [] { resolver(R"({"task": {"type": "worker", "index": -1}})").task_id(); });
  expect_invalid({"task, index", "1.5"}, [] { resolver(R"({"task": {"index": 1.5}})").task_id(); });
  expect_invalid({"task, index", "\"x\""},
                 [] { resolver(R"({"task": {"index": "x"}})").task_id(); });
  expect_invalid({"task, type", "[]"}, [] { resolver(R"({"task": {"type": []}})").task_type(); });
  expect_invalid({"task", "\"worker\""}, [] { resolver(R"({"task": "worker"})").task_type(); });
  expect_invalid({"cluster", "null"}, [] { resolver(R"({"cluster": null})").cluster_spec(); });
  expect_invalid({"task", "null"}, [] { resolver(R"({"task": null})").task_id(); });
  expect_invalid({"task, type", "null"},
                 [] { resolver(R"({"task": {"type": null}})").task_type(); });
  expect_invalid({"job 'worker'", "7"},
                 [] { resolver(R"({"cluster": {"worker": [7]}})").cluster_spec(); });
  expect_invalid({"job 'worker'", "every index once"}, [] {
    resolver(R"({"cluster": {"worker": {"0": "a:1", "00": "b:1"}}})").cluster_spec();
  });
  expect_invalid({"rpc_layer", "7"}, [] { resolver(R"({"rpc_layer": 7})").rpc_layer(); });
  expect_invalid({"2000000000"}, [] {
    resolver(R"({"cluster": {"worker": {"2000000000": "a:1"}}})").cluster_spec();
  });
}

}  // namespace
}  // namespace cohort::cluster
