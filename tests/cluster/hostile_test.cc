// What a listening port must survive, and whom it must not let in.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "cluster/health.h"
#include "cluster/rpc.h"
#include "tests/cluster/task_process.h"
#include "tests/support/expect_error.h"
#include "tests/support/tls_keys.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr milliseconds kTimeout(10'000);
constexpr const char* kAttend = "/cohort.control.Control/Attend";
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string random_bytes(std::mt19937& random, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

class HostileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      rpc_ = rpc_module();
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    leader_ = std::make_unique<TaskProcess>(plan_);
    plan_.coordinator = leader_->wait_for("bound");
    target_.host = "localhost";
    target_.address = resolve(parse_address(plan_.coordinator)).front();
  }

  // A connection to the leader, with these bytes sent. -1 when it was refused.
  int connect_and_send(std::string_view bytes) {
    const bool v6 = target_.address.host.find(':') != std::string::npos;
    const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 six{.sin6_family = AF_INET6,
                     .sin6_port = htons(static_cast<uint16_t>(target_.address.port))};
    sockaddr_in four{.sin_family = AF_INET,
                     .sin_port = htons(static_cast<uint16_t>(target_.address.port))};
    inet_pton(AF_INET6, target_.address.host.c_str(), &six.sin6_addr);
    inet_pton(AF_INET, target_.address.host.c_str(), &four.sin_addr);
    const auto* address =
        v6 ? reinterpret_cast<const sockaddr*>(&six) : reinterpret_cast<const sockaddr*>(&four);
    const socklen_t size = v6 ? sizeof(six) : sizeof(four);
    if (connect(fd, address, size) != 0) {
      ADD_FAILURE() << "the leader does not accept connections any more";
      close(fd);
      return -1;
    }
    // It may well close while this is under way.
    while (!bytes.empty()) {
      const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return fd;
  }

  // The second task comes, and both end well.
  void expect_that_the_cluster_works() {
    plan_.self = 1;
    TaskProcess second(plan_);
    for (TaskProcess* process : {leader_.get(), &second}) {
      process->wait_for("started");
      process->wait_for("done");
      EXPECT_EQ(process->wait_for_exit(), 0);
    }
  }

  RpcModule rpc_;
  RpcTarget target_;
  TaskPlan plan_{.num_tasks = 2};
  std::unique_ptr<TaskProcess> leader_;
};

TEST_F(HostileTest, GarbageBytes) {
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    std::string bytes = random_bytes(random, random() % 3000);
    if (i % 2) bytes.insert(0, kPreface);
    close(connect_and_send(bytes));
  }
  expect_that_the_cluster_works();
}

TEST_F(HostileTest, FramesThatLie) {
  std::mt19937 random(2);
  for (int type = 0; type < 16; ++type) {
    std::string bytes(kPreface);
    bytes += std::string("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 9);  // empty settings
    bytes += std::string("\xff\xff\xff", 3) + static_cast<char>(type) +
             std::string("\xff\x00\x00\x00\x01", 5);  // a frame of 16 MiB, of which little comes
    close(connect_and_send(bytes + random_bytes(random, 1000)));
  }
  expect_that_the_cluster_works();
}

TEST_F(HostileTest, HalfOpenConnections) {
  std::vector<int> open;
  for (int i = 0; i < 100; ++i)
    open.push_back(connect_and_send(i % 2 ? kPreface.substr(0, 10) : std::string_view()));
  expect_that_the_cluster_works();
  for (const int fd : open) close(fd);
}

TEST_F(HostileTest, OversizedAndMalformedMessages) {
  EXPECT_ANY_THROW(rpc_.call(target_, kAttend, std::string(size_t{32} << 20, 'x'), kTimeout));
  std::mt19937 random(3);
  for (int i = 0; i < 50; ++i)
    EXPECT_ANY_THROW(rpc_.call(target_, kAttend, "\x0a" + random_bytes(random, 200), kTimeout));
  expect_error(Code::kUnimplemented, {"/cohort.control.Control/Nothing"},
               [&] { rpc_.call(target_, "/cohort.control.Control/Nothing", "", kTimeout); });
  expect_that_the_cluster_works();
}

TEST_F(HostileTest, WellFormedMessagesThatMakeNoSense) {
  // Kinds 0 to 99 with every number field set, as the first message of a stream.
  for (char kind = 0; kind < 100; ++kind) {
    const std::string message =
        std::string("\x08") + kind + "\x10\x07\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x38\x63";
    EXPECT_THAT(rpc_.call(target_, kAttend, message, kTimeout), HasSubstr("registration first"));
  }
  expect_that_the_cluster_works();
}

TEST_F(HostileTest, HealthAndReflectionAreServed) {
  check_health(plan_.coordinator, {}, kTimeout);
  const std::string list_services("\x3a\x00", 2);
  EXPECT_THAT(rpc_.call(target_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                        list_services, kTimeout),
              AllOf(HasSubstr("cohort.control.Control"), HasSubstr("grpc.health.v1.Health")));
  expect_that_the_cluster_works();
}

class TlsProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      rpc_module();
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    if (!test::TlsKeyFolder::possible())
      GTEST_SKIP() << "there is no openssl command here to make keys with";
    folder_.make("ours");
    folder_.make("others");
  }

  std::string keys(const std::string& name) const { return folder_.path() + "/" + name; }
  TlsOptions options(const std::string& name) const {
    return {keys(name) + "/ca.pem", keys(name) + "/task.pem", keys(name) + "/task.key"};
  }

  test::TlsKeyFolder folder_;
};

TEST_F(TlsProcessTest, TasksWithKeysMeetAndOthersAreKeptOut) {
  TaskPlan plan{.num_tasks = 2, .tls_folder = keys("ours")};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  plan.self = 1;

  TaskPlan stranger = plan;
  stranger.startup_ms = 1000;
  stranger.tls_folder = keys("others");
  TaskPlan plain = stranger;
  plain.startup_ms = plan.startup_ms;
  plain.tls_folder = "";
  TaskProcess refused(stranger);
  EXPECT_THAT(refused.wait_for("failed"),
              AllOf(StartsWith("DeadlineExceeded"), HasSubstr("the leader /job:worker/task:0")));
  TaskProcess without_keys(plain);
  EXPECT_THAT(without_keys.wait_for("failed"),
              AllOf(StartsWith("FailedPrecondition"), HasSubstr("the leader /job:worker/task:0"),
                    HasSubstr("uses TLS, and /job:worker/task:1 plain text")));
  check_health(plan.coordinator, options("ours"), kTimeout);
  EXPECT_ANY_THROW(check_health(plan.coordinator, options("others"), milliseconds(2000)));
  EXPECT_ANY_THROW(check_health(plan.coordinator, {}, milliseconds(2000)));

  TaskProcess task(plan);
  for (TaskProcess* process : {&leader, &task}) {
    process->wait_for("done");
    EXPECT_EQ(process->wait_for_exit(), 0);
  }
}

TEST_F(TlsProcessTest, PlainLeaderIsNotTrusted) {
  TaskPlan plan{.num_tasks = 2};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  plan.self = 1;
  plan.tls_folder = keys("ours");
  TaskProcess task(plan);
  EXPECT_THAT(task.wait_for("failed"),
              AllOf(StartsWith("FailedPrecondition"),
                    HasSubstr("uses plain text, and /job:worker/task:1 TLS")));
}

TEST_F(TlsProcessTest, KeyFilesAreCheckedBeforeAnythingIsSent) {
  TlsOptions incomplete = options("ours");
  incomplete.private_key = "";
  expect_error(Code::kInvalidArgument, {"private_key ''", "all or none"},
               [&] { read_tls_keys(incomplete); });
  TlsOptions missing = options("ours");
  missing.certificate += ".not";
  expect_error(Code::kNotFound, {"task.pem.not"}, [&] { read_tls_keys(missing); });
  TlsOptions wrong = options("ours");
  wrong.certificate = keys("ours") + "/extensions";
  expect_error(Code::kDataLoss, {"extensions", "PEM"}, [&] { read_tls_keys(wrong); });
}

}  // namespace
}  // namespace cohort::cluster
