// Tasks as processes that speak TLS.
#include <filesystem>

#include "cohort/cluster/descriptor.h"
#include "cohort/cluster/health.h"
#include "tests/cluster/hostile_support.h"
#include "tests/support/expect_error.h"
#include "tests/support/tls_keys.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr milliseconds kTlsTimeout(10'000);

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
  check_health(plan.coordinator, options("ours"), kTlsTimeout);
  EXPECT_ANY_THROW(check_health(plan.coordinator, options("others"), milliseconds(2000)));
  EXPECT_ANY_THROW(check_health(plan.coordinator, {}, milliseconds(2000)));

  TaskProcess task(plan);
  for (TaskProcess* process : {&leader, &task}) {
    process->wait_for("done");
    EXPECT_EQ(process->wait_for_exit(), 0);
  }
}

TEST_F(TlsProcessTest, ThousandIdleConnectionsAreHarmless) {
  TaskPlan plan{.num_tasks = 2, .coordinator = "127.0.0.1:0", .tls_folder = keys("ours")};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  const DescriptorLimits limits(leader.pid());
  std::vector<Descriptor> idle;
  const int port = parse_address(plan.coordinator).port;
  for (int i = 0; i < 1000; ++i) {
    idle.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port))};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    ASSERT_EQ(connect(idle.back().get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  }
  plan.self = 1;
  TaskProcess task(plan);
  for (TaskProcess* process : {&leader, &task}) {
    process->wait_for("done");
    EXPECT_EQ(process->wait_for_exit(), 0);
  }
}

TEST_F(TlsProcessTest, KeysThatAreNoPairAreRefused) {
  std::filesystem::copy(keys("others") + "/task.key", keys("ours") + "/task.key",
                        std::filesystem::copy_options::overwrite_existing);
  TaskProcess leader({.num_tasks = 2, .tls_folder = keys("ours")});
  EXPECT_THAT(leader.wait_for("failed"),
              AllOf(StartsWith("InvalidArgument"), HasSubstr("are they a pair?")));
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
