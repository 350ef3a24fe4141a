#include "cohort/cluster/server.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <thread>

#include "cohort/cluster/health.h"
#include "cohort/cluster/membership.h"
#include "cohort/cluster/rpc.h"
#include "cohort/cluster/simple_cluster_resolver.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using cohort::testing::expect_invalid;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr milliseconds kLongStart(60'000);

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      rpc_module();
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }

  // One server of a cluster whose ports the system picks.
  std::unique_ptr<Server> server(const ClusterSpec& cluster, const Task& task) const {
    return std::make_unique<Server>(
        ServerOptions{.cluster = cluster,
                      .job_name = task.type,
                      .task_index = task.index,
                      .job_id = "server-test-" + std::to_string(getpid()),
                      .startup_timeout = kLongStart});
  }
};

std::string port_of(const Server& server) {
  return server.target().substr(server.target().rfind(':') + 1);
}

TEST_F(ServerTest, LocalServerIsAClusterOfOne) {
  const auto server = Server::create_local_server();
  EXPECT_THAT(server->target(), StartsWith("grpc://localhost:"));
  check_health(server->target().substr(7), {}, kLongStart);
  EXPECT_EQ(server->membership().tasks().size(), 1u);
  server->stop();
  expect_error(Code::kFailedPrecondition, {"stopped"}, [&] { server->start(); });
}

TEST_F(ServerTest, AResolverNamesClusterAndTask) {
  const ClusterSpec cluster({{"ps", {"localhost:0"}}, {"worker", {"localhost:0", "localhost:0"}}});
  const ServerOptions options{.start = false, .job_id = "server-test"};
  EXPECT_EQ(
      Server(SimpleClusterResolver(cluster, {.task_type = "worker", .task_id = 1}), options).task(),
      (Task{"worker", 1}));
  expect_invalid({"explicit job_name"}, [&] { Server(SimpleClusterResolver(cluster), options); });
  expect_invalid({"protocol", "\"grpc+verbs\"", "want \"grpc\""}, [&] {
    Server(SimpleClusterResolver(cluster, {.task_type = "ps", .task_id = 0}),
           {.protocol = "grpc+verbs", .start = false});
  });
}

TEST_F(ServerTest, StartsWhenItIsTold) {
  const auto server = Server::create_local_server(false);
  expect_error(Code::kFailedPrecondition, {"not started"}, [&] { server->target(); });
  server->start();
  server->start();
  check_health(server->target().substr(7), {}, kLongStart);
}

TEST_F(ServerTest, JobAndTaskAreWantedWhenThereAreSeveral) {
  const ClusterSpec two_jobs({{"a", {"localhost:0"}}, {"b", {"localhost:0"}}});
  expect_invalid({"explicit job_name"}, [&] { Server({.cluster = two_jobs}); });
  const ClusterSpec two_tasks({{"a", {"localhost:1", "localhost:2"}}});
  expect_invalid({"explicit task_index"}, [&] { Server({.cluster = two_tasks}); });
  expect_invalid({"c"}, [&] { Server({.cluster = two_jobs, .job_name = "c", .task_index = 0}); });
  expect_invalid({"localhost:0", "job_id"},
                 [&] { Server({.cluster = two_jobs, .job_name = "b", .task_index = 0}); });
}

TEST_F(ServerTest, AddressWithoutAPortIsRefused) {
  expect_invalid({"localhost", "port"}, [] {
    Server({.cluster = ClusterSpec({{"local", {"localhost"}}})});
  });
}

TEST_F(ServerTest, SecondServerOnOnePortNamesThePortAndWhoHasIt) {
  const auto first = Server::create_local_server();
  const ClusterSpec same({{"local", {"localhost:" + port_of(*first)}}});
  expect_error(Code::kAlreadyExists,
               {"in use by process " + std::to_string(getpid()), port_of(*first)},
               [&] { Server({.cluster = same}); });
  first->stop();
  const Server again({.cluster = same});
  EXPECT_EQ(again.target(), "grpc://localhost:" + port_of(again));
}

TEST_F(ServerTest, ListensAtNoAddressButItsOwn) {
  const Server server({.cluster = ClusterSpec({{"local", {"127.0.0.1:0"}}})});
  check_health("127.0.0.1:" + port_of(server), {}, kLongStart);
  expect_error(Code::kUnavailable, {},
               [&] { check_health("127.0.0.2:" + port_of(server), {}, milliseconds(5000)); });
}

TEST_F(ServerTest, AddressOfAnotherMachineIsRefused) {
  expect_error(Code::kFailedPrecondition, {"192.0.2.1", "not an address of this machine"}, [] {
    Server({.cluster = ClusterSpec({{"local", {"192.0.2.1:2222"}}})});
  });
}

// A parameter server waits in join until the chief has done its work.
TEST_F(ServerTest, JoinReturnsWhenTheClusterFinishes) {
  const ClusterSpec cluster(
      {{"ps", {"localhost:0"}}, {"worker", {"localhost:0"}}, {"chief", {"localhost:0"}}});
  std::atomic<bool> works = true;
  std::vector<std::thread> passive;
  for (const char* job : {"ps", "worker"})
    passive.emplace_back([&, job] {
      const auto task = server(cluster, {job, 0});
      task->join();
      EXPECT_FALSE(works.load());
      task->stop();
    });
  const auto chief = server(cluster, {"chief", 0});
  EXPECT_EQ(chief->membership().tasks(),
            (std::vector<Task>{{"chief", 0}, {"worker", 0}, {"ps", 0}}));
  check_health(chief->task_address({"ps", 0}, kLongStart), {}, kLongStart);
  works = false;
  chief->stop(kLongStart);
  for (std::thread& thread : passive) thread.join();
}

TEST_F(ServerTest, ErrorOfOneTaskEndsTheOthersJoin) {
  const ClusterSpec cluster({{"worker", {"localhost:0", "localhost:0"}}});
  std::thread passive([&] {
    const auto task = server(cluster, {"worker", 1});
    expect_error(Code::kUnavailable, {"/job:worker/task:0"}, [&] { task->join(); });
  });
  auto leader = server(cluster, {"worker", 0});
  leader->membership();
  leader.reset();  // without a word
  passive.join();
}

TEST_F(ServerTest, StopEndsAStartUp) {
  const ClusterSpec cluster({{"worker", {"localhost:0", "localhost:0"}}});
  ServerOptions options{.cluster = cluster, .job_name = "worker", .task_index = 0, .job_id = "x"};
  options.startup_timeout = std::chrono::hours(1);
  const auto leader = std::make_unique<Server>(options);
  const std::string address = leader->target().substr(7);
  leader->stop();
  expect_error(Code::kUnavailable, {}, [&] { check_health(address, {}, milliseconds(5000)); });
}

TEST_F(ServerTest, StopEndsAJoin) {
  const ClusterSpec cluster({{"worker", {"localhost:0", "localhost:0"}}});
  const auto leader = server(cluster, {"worker", 0});
  const auto other = server(cluster, {"worker", 1});
  leader->membership();
  std::thread joining([&] { other->join(); });
  expect_error(Code::kFailedPrecondition, {"/job:worker/task:1 has left"},
               [&] { leader->membership().barrier("both", kLongStart); });
  other->stop();
  joining.join();
  leader->stop(kLongStart);
}

TEST_F(ServerTest, TaskThatDoesNotLeadSendsTasksAway) {
  const ClusterSpec cluster({{"worker", {"localhost:0", "localhost:0"}}});
  const auto other = server(cluster, {"worker", 1});
  const ClusterSpec wrong({{"worker", {"localhost:" + port_of(*other), "localhost:0"}}});
  const auto lost = server(wrong, {"worker", 1});
  expect_invalid({"/job:worker/task:0 leads"}, [&] { lost->membership(); });
}

}  // namespace
}  // namespace cohort::cluster
