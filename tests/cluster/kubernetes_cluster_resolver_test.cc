#include "cohort/cluster/kubernetes_cluster_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cohort/cluster/indexed_job_cluster_resolver.h"
#include "tests/cluster/resolver_support.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using cohort::testing::expect_invalid;
using testing::addresses;
using ::testing::ElementsAre;
using PodsBySelector = std::map<std::string, std::vector<Pod>>;

Pod running(const std::string& name, const std::string& ip) { return {name, ip, "Running"}; }

KubernetesOptions options(PodsBySelector pods) {
  return {.list_pods = [pods](const std::string& selector) { return pods.at(selector); }};
}

KubernetesClusterResolver one_selector(std::vector<Pod> pods) {
  return KubernetesClusterResolver(options({{"job-name=cohort", std::move(pods)}}));
}

std::vector<std::string> worker_addresses(std::vector<Pod> pods) {
  return addresses(one_selector(std::move(pods)).cluster_spec(), "worker");
}

TEST(KubernetesClusterResolverTest, RunningPodIsAWorker) {
  EXPECT_THAT(worker_addresses({running("tensorflow-abc123", "10.1.2.3")}),
              ElementsAre("10.1.2.3:8470"));
}

TEST(KubernetesClusterResolverTest, PodsAreInTheOrderOfTheirNames) {
  EXPECT_THAT(worker_addresses({running("tensorflow-abc123", "10.1.2.3"),
                                running("tensorflow-def456", "10.1.2.4"),
                                running("tensorflow-999999", "10.1.2.5")}),
              ElementsAre("10.1.2.5:8470", "10.1.2.3:8470", "10.1.2.4:8470"));
}

TEST(KubernetesClusterResolverTest, NumbersInNamesAreComparedByValue) {
  EXPECT_THAT(worker_addresses({running("worker-10", "10.1.2.10"), running("worker-2", "10.1.2.2"),
                                running("worker-1", "10.1.2.1")}),
              ElementsAre("10.1.2.1:8470", "10.1.2.2:8470", "10.1.2.10:8470"));
}

TEST(KubernetesClusterResolverTest, MasterIsATaskOrEmpty) {
  KubernetesOptions three =
      options({{"job-name=cohort",
                {running("worker-0", "10.1.2.3"), running("worker-1", "10.1.2.4"),
                 running("worker-2", "10.1.2.5")}}});
  EXPECT_EQ(KubernetesClusterResolver(three).master(), "");
  EXPECT_EQ(KubernetesClusterResolver(three).master("worker", 2), "grpc://10.1.2.5:8470");
  three.overrides = {.task_type = "worker", .task_id = 0, .rpc_layer = "grpc"};
  EXPECT_EQ(KubernetesClusterResolver(three).master(), "grpc://10.1.2.3:8470");
}

TEST(KubernetesClusterResolverTest, PodThatDoesNotRunIsNamed) {
  expect_error(Code::kFailedPrecondition,
               {"Pod \"tensorflow-abc123\" is not running; phase: \"Failed\""}, [] {
                 worker_addresses({{"tensorflow-abc123", "10.1.2.3", "Failed"}});
               });
}

TEST(KubernetesClusterResolverTest, SelectorsFollowEachOther) {
  KubernetesOptions two =
      options({{"job-name=a",
                {running("tensorflow-abc123", "10.1.2.3"), running("tensorflow-def456", "10.1.2.4"),
                 running("tensorflow-999999", "10.1.2.5")}},
               {"job-name=b",
                {running("tensorflow-ghi789", "10.1.2.6"), running("tensorflow-jkl012", "10.1.2.7"),
                 running("tensorflow-666666", "10.1.2.8")}},
               {"job-name=ps",
                {running("tensorflow-ps-1", "10.1.2.1"), running("tensorflow-ps-2", "10.1.2.2")}}});
  two.selectors = {{"worker", {"job-name=a", "job-name=b"}}, {"ps", {"job-name=ps"}}};
  const ClusterSpec spec = KubernetesClusterResolver(two).cluster_spec();
  EXPECT_THAT(addresses(spec, "worker"),
              ElementsAre("10.1.2.5:8470", "10.1.2.3:8470", "10.1.2.4:8470", "10.1.2.8:8470",
                          "10.1.2.6:8470", "10.1.2.7:8470"));
  EXPECT_THAT(addresses(spec, "ps"), ElementsAre("10.1.2.1:8470", "10.1.2.2:8470"));
}

TEST(KubernetesClusterResolverTest, NeedsAFunctionThatListsPods) {
  expect_invalid({"list_pods"}, [] { KubernetesClusterResolver(KubernetesOptions{}); });
}

TEST(NaturalOrderTest, RunsOfDigitsAreNumbers) {
  EXPECT_TRUE(natural_less("a2", "a10"));
  EXPECT_FALSE(natural_less("a10", "a2"));
  EXPECT_TRUE(natural_less("a2b9", "a2b10"));
  EXPECT_TRUE(natural_less("a", "a1"));
  EXPECT_TRUE(natural_less("1", "a"));
  EXPECT_TRUE(natural_less("n99999999999999999999", "n100000000000000000000"));
  EXPECT_FALSE(natural_less("a1", "a1"));
  EXPECT_NE(natural_less("a01", "a1"), natural_less("a1", "a01"));
}

std::map<std::string, std::string> indexed_job() {
  return {{"JOB_COMPLETION_INDEX", "2"},
          {"HOSTNAME", "train-2"},
          {"COHORT_NUM_WORKERS", "4"},
          {"COHORT_SERVICE", "train-workers"}};
}

TEST(IndexedJobClusterResolverTest, WorkersHaveNamesInTheService) {
  const IndexedJobClusterResolver resolver{Environment(indexed_job())};
  EXPECT_THAT(addresses(resolver.cluster_spec(), "worker"),
              ElementsAre("train-0.train-workers:2222", "train-1.train-workers:2222",
                          "train-2.train-workers:2222", "train-3.train-workers:2222"));
  EXPECT_EQ(resolver.task_type(), "worker");
  EXPECT_EQ(resolver.task_id(), 2);
  EXPECT_EQ(resolver.master(), "grpc://train-2.train-workers:2222");
  auto variables = indexed_job();
  variables["COHORT_PORT"] = "8470";
  EXPECT_EQ(
      IndexedJobClusterResolver{Environment(variables)}.cluster_spec().task_address("worker", 0),
      "train-0.train-workers:8470");
}

TEST(IndexedJobClusterResolverTest, MissingVariableIsNamed) {
  for (const auto& [name, value] : indexed_job()) {
    auto variables = indexed_job();
    variables.erase(name);
    expect_error(Code::kFailedPrecondition, {name},
                 [&] { IndexedJobClusterResolver{Environment(variables)}; });
  }
}

TEST(IndexedJobClusterResolverTest, WrongVariablesAreErrors) {
  const auto with = [](const std::string& name, const std::string& value) {
    auto variables = indexed_job();
    variables[name] = value;
    return Environment(variables);
  };
  expect_invalid({"COHORT_NUM_WORKERS=2"},
                 [&] { IndexedJobClusterResolver{with("COHORT_NUM_WORKERS", "2")}; });
  expect_invalid({"HOSTNAME", "train-3"},
                 [&] { IndexedJobClusterResolver{with("HOSTNAME", "train-3")}; });
  expect_invalid({"HOSTNAME"}, [&] { IndexedJobClusterResolver{with("HOSTNAME", "-2")}; });
  expect_invalid({"COHORT_PORT"}, [&] { IndexedJobClusterResolver{with("COHORT_PORT", "70000")}; });
  expect_invalid({"COHORT_NUM_WORKERS"},
                 [&] { IndexedJobClusterResolver{with("COHORT_NUM_WORKERS", "4000000000")}; });
}

}  // namespace
}  // namespace cohort::cluster
