#include "cohort/cluster/metrics_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <random>
#include <thread>

#include "cohort/cluster/join.h"
#include "tests/support/built_with.h"
#include "tests/support/expect_error.h"
#include "tests/support/prometheus.h"

namespace cohort::cluster {
namespace {

using cohort::testing::ask;
using cohort::testing::expect_error;
using cohort::testing::get;
using cohort::testing::parse_prometheus;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Job job_of(std::vector<std::string> addresses, int self) {
  Job job{.self = self, .addresses = std::move(addresses), .job_id = "test"};
  for (size_t i = 0; i < job.addresses.size(); ++i)
    job.tasks.push_back({"worker", static_cast<int>(i)});
  return job;
}

int port_of(const MetricsServer& server) { return parse_address(server.address()).port; }

class MetricsServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      http_module();
      EXPECT_TRUE(cohort::testing::built_with::http);
    } catch (const Error& error) {
      EXPECT_FALSE(cohort::testing::built_with::http) << error.what();
      EXPECT_EQ(error.code(), Code::kFailedPrecondition);
      EXPECT_THAT(error.what(), HasSubstr("COHORT_HTTP=ON"));
      GTEST_SKIP() << error.what();
    }
  }

  std::unique_ptr<MetricsServer> serve(const Job& job, int port = 0,
                                       const Environment& environment = {}) {
    return std::make_unique<MetricsServer>(metrics_, job, port, "", environment);
  }

  MetricRegistry metrics_;
};

TEST_F(MetricsServerTest, ServesTheRegistry) {
  const auto server = serve(job_of({"127.0.0.1:0", "127.0.0.1:0"}, 1));
  EXPECT_THAT(server->address(), StartsWith("127.0.0.1:"));
  EXPECT_EQ(metrics_.served_at(), server->address());
  Counter& steps = metrics_.counter({.name = "steps_total", .help = "Steps."});
  for (int scrape = 0; scrape < 3; ++scrape) {
    steps.add(10);
    const std::string answer =
        ask(port_of(*server), "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    const auto text = parse_prometheus(answer.substr(answer.find("\r\n\r\n") + 4));
    EXPECT_EQ(text.value("steps_total", {{"task_type", "worker"}, {"task", "1"}}),
              10 * (scrape + 1));
    EXPECT_EQ(text.value("cohort_cluster_tasks"), 2);
    EXPECT_GT(text.value("process_start_time_seconds"), 1.6e9);
  }
}

TEST_F(MetricsServerTest, HealthIsWhatTheRegistrySays) {
  const auto server = serve(job_of({"127.0.0.1:0"}, 0));
  int status = 0;
  EXPECT_THAT(get(port_of(*server), "/healthz", status),
              StartsWith("ok\n/job:worker/task:0, process "));
  EXPECT_EQ(status, 200);
  metrics_.set_problem("worker 1\nis dead");
  EXPECT_THAT(get(port_of(*server), "/healthz", status), StartsWith("worker 1 is dead\n/job:"));
  EXPECT_EQ(status, 503);
}

TEST_F(MetricsServerTest, OtherRequestsAreRefused) {
  const auto server = serve(job_of({"127.0.0.1:0"}, 0));
  int status = 0;
  get(port_of(*server), "/", status);
  EXPECT_EQ(status, 404);
  get(port_of(*server), "/metrics/../etc/passwd", status);
  EXPECT_EQ(status, 404);
  EXPECT_THAT(
      ask(port_of(*server), "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
      StartsWith("HTTP/1.1 405"));
}

TEST_F(MetricsServerTest, APortInUseIsRefusedWithTheNameOfItsHolder) {
  const auto first = serve(job_of({"127.0.0.1:0", "127.0.0.1:0"}, 0));
  expect_error(Code::kAlreadyExists,
               {"port " + std::to_string(port_of(*first)),
                "/job:worker/task:0, process " + std::to_string(getpid())},
               [&] {
                 serve(job_of({"127.0.0.1:0", "127.0.0.1:0"}, 0), port_of(*first));
               });
}

TEST_F(MetricsServerTest, APortThatSomethingElseHoldsIsRefused) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(fd, 5), 0);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  expect_error(Code::kAlreadyExists, {"in use, by no task of Cohort", "COHORT_METRICS_PORT"},
               [&] { serve(job_of({"127.0.0.1:0"}, 0), ntohs(address.sin_port)); });
  close(fd);
}

TEST_F(MetricsServerTest, TasksOfOneHostHavePortsSideBySide) {
  // The first task of the host holds the port: where the second listens shows in who is refused.
  const auto first = serve(job_of({"127.0.0.1:0", "127.0.0.1:0"}, 0));
  const int port = port_of(*first);
  if (port == 65535) GTEST_SKIP() << "no port after the last";
  try {
    const auto second = serve(job_of({"127.0.0.1:0", "127.0.0.1:0"}, 1), port);
    EXPECT_EQ(port_of(*second), port + 1);
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("port " + std::to_string(port + 1)));
  }
}

TEST_F(MetricsServerTest, WhereHostsAreUnknownTheLauncherSaysThePlace) {
  Job job = job_of({"127.0.0.1:2222", "", ""}, 2);
  job.coordinator = "127.0.0.1:2222";
  const Environment environment(
      std::map<std::string, std::string>{{"OMPI_COMM_WORLD_LOCAL_RANK", "2"}});
  expect_error(Code::kInvalidArgument, {"65534", "65536"}, [&] { serve(job, 65534, environment); });
}

TEST_F(MetricsServerTest, BrokenPipesStayWhatTheyWere) {
  struct sigaction before, after;
  sigaction(SIGPIPE, nullptr, &before);
  const auto server = serve(job_of({"127.0.0.1:0"}, 0));
  sigaction(SIGPIPE, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

TEST_F(MetricsServerTest, GarbageOnThePortDoesNotHurt) {
  const auto server = serve(job_of({"127.0.0.1:0"}, 0));
  const int port = port_of(*server);
  std::mt19937 random(5);
  const auto bytes = [&](size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(random());
    return text;
  };
  std::string many_ranges = "bytes=1-1";
  while (many_ranges.size() < 8000) many_ranges += ",1-1";
  const std::string get_metrics = "GET /metrics HTTP/1.1\r\nHost: a\r\n";
  std::vector<std::string> requests = {
      "",
      "\r\n\r\n",
      "GET",
      "GET /metrics",
      "GET /metrics HTTP/9.9\r\n\r\n",
      std::string(100000, 'A'),
      "GET /" + std::string(100000, 'a') + " HTTP/1.1\r\n\r\n",
      get_metrics + "Range: " + many_ranges + "\r\n\r\n",
      get_metrics + "Range: bytes=0-99999999999999999999999\r\n\r\n",
      get_metrics + "Content-Length: 99999999999999999999\r\n\r\n",
      get_metrics + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
      get_metrics + "Accept-Encoding: gzip, br, deflate\r\n\r\n",
      "GET /%00%ff%zz?a=%&b HTTP/1.1\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9) + bytes(500)};
  std::string headers = get_metrics;
  for (int i = 0; i < 20000; ++i) headers += "X" + std::to_string(i) + ": y\r\n";
  requests.push_back(headers);
  for (int i = 0; i < 50; ++i) requests.push_back(bytes(1 + random() % 5000));
  for (const std::string& request : requests) ask(port, request);
  int status = 0;
  parse_prometheus(get(port, "/metrics", status));
  EXPECT_EQ(status, 200);
}

TEST_F(MetricsServerTest, SilentConnectionsDoNotKeepItFromEnding) {
  auto server = serve(job_of({"127.0.0.1:0"}, 0));
  std::vector<int> silent;
  sockaddr_in address{.sin_family = AF_INET,
                      .sin_port = htons(static_cast<uint16_t>(port_of(*server)))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < 40; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);  // under way
    silent.push_back(fd);
  }
  server.reset();  // a hang is the test's time limit
  for (const int fd : silent) close(fd);
  EXPECT_EQ(metrics_.served_at(), "");
}

TEST(ServeMetricsTest, NothingIsServedUnlessItIsAskedFor) {
  MetricRegistry metrics;
  EXPECT_EQ(serve_metrics(metrics, Environment()), nullptr);
  EXPECT_FALSE(metrics.served());
}

TEST(ServeMetricsTest, WrongVariablesAreRefused) {
  MetricRegistry metrics;
  const auto serve = [&](std::map<std::string, std::string> variables) {
    return [&metrics, variables] { serve_metrics(metrics, Environment(variables)); };
  };
  for (const char* port : {"http", "-1", "65536", "9100 ", "0x10"})
    cohort::testing::expect_invalid({"COHORT_METRICS_PORT"},
                                    serve({{"COHORT_METRICS_PORT", port}}));
  cohort::testing::expect_invalid({"COHORT_METRICS_ADDRESS", "COHORT_METRICS_PORT"},
                                  serve({{"COHORT_METRICS_ADDRESS", "0.0.0.0"}}));
}

TEST(ClusterMetricsTest, ATaskTellsTheClusterWhereItServesAndItsMetricsWhenTheClusterFails) {
  MetricRegistry metrics;
  metrics.set_served_at("node1:9100");
  const auto membership = join_cluster({.tasks = {{"worker", 0}}, .self = 0, .job_id = "test"});
  const ClusterMetrics told(metrics, *membership);
  EXPECT_EQ(membership->try_get("metrics/worker/0"), "node1:9100");
  const auto value = [&](const char* name) {
    return parse_prometheus(metrics.to_prometheus()).value(name);
  };
  EXPECT_EQ(value("cohort_cluster_tasks"), 1);
  EXPECT_EQ(value("cohort_cluster_tasks_missing"), 0);
  EXPECT_EQ(value("cohort_healthy"), 1);
  EXPECT_EQ(metrics.problem(), "");

  std::promise<void> failed;  // told after the metrics, who watch first
  const int watch = membership->watch([&](const Error&) { failed.set_value(); });
  membership->report_error(DataLoss("a broken example"));
  ASSERT_EQ(failed.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  membership->unwatch(watch);
  EXPECT_EQ(value("cohort_healthy"), 0);
  EXPECT_THAT(metrics.problem(), HasSubstr("a broken example"));
}

TEST(ClusterMetricsTest, ATaskThatServesNothingPublishesNothing) {
  MetricRegistry metrics;
  const auto membership = join_cluster({.tasks = {{"worker", 0}}, .self = 0, .job_id = "test"});
  const ClusterMetrics told(metrics, *membership);
  EXPECT_EQ(membership->try_get("metrics/worker/0"), std::nullopt);
}

}  // namespace
}  // namespace cohort::cluster
