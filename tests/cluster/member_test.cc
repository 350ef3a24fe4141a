#include "cohort/cluster/member.h"

#include <gmock/gmock.h>

#include <atomic>
#include <future>

#include "cohort/cluster/leader.h"
#include "cohort/cluster/session.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr milliseconds kLong(60'000);

// Members as threads of this process, over pipes without a network, with the real clock.
class MemberTest : public ::testing::Test {
 protected:
  void start(int num_tasks) {
    for (int i = 0; i < num_tasks; ++i) tasks_.push_back({"worker", i});
    coordinator_ = std::make_shared<Coordinator>(Coordinator::Options{.tasks = tasks_});
    for (int i = 0; i < num_tasks; ++i) members_.push_back(seat(i));
    for (auto& member : members_) ASSERT_TRUE(member->wait_for_start(kLong));
  }

  std::unique_ptr<Member> seat(int index) {
    auto member = std::make_unique<Member>(
        Member::Options{.tasks = tasks_, .self = index, .heartbeat_interval = milliseconds(50)});
    EXPECT_EQ(member->take_seat(
                  [&](PipeReceiver receiver) {
                    return connect_locally(coordinator_, std::move(receiver));
                  },
                  kLong),
              std::nullopt);
    return member;
  }

  // Runs `body` for every member on a thread of its own.
  void on_all(const std::function<void(Member&, int)>& body) {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < members_.size(); ++i)
      threads.emplace_back([&, i] { body(*members_[i], static_cast<int>(i)); });
    for (std::thread& thread : threads) thread.join();
  }

  std::vector<Task> tasks_;
  std::shared_ptr<Coordinator> coordinator_;
  std::vector<std::unique_ptr<Member>> members_;
};

TEST_F(MemberTest, BarriersKeepTheTasksTogether) {
  start(4);
  std::atomic<int> arrived = 0;
  on_all([&](Member& member, int) {
    for (int round = 0; round < 50; ++round) {
      arrived.fetch_add(1);
      member.barrier("step", kLong);
      EXPECT_GE(arrived.load(), 4 * (round + 1));
    }
  });
}

TEST_F(MemberTest, ValuesReachTheOthers) {
  start(3);
  on_all([&](Member& member, int index) {
    member.insert("address/" + std::to_string(index), "from " + std::to_string(index));
    for (int other = 0; other < 3; ++other)
      EXPECT_EQ(member.get("address/" + std::to_string(other), kLong),
                "from " + std::to_string(other));
    EXPECT_EQ(member.try_get("nobody"), std::nullopt);
    expect_error(Code::kAlreadyExists, {"address/0"}, [&] { member.insert("address/0", ""); });
  });
}

TEST_F(MemberTest, EndWithoutLeavingEndsTheOthersWaits) {
  start(3);
  on_all([&](Member& member, int index) {
    if (index == 2) return members_[2].reset();
    expect_error(Code::kUnavailable, {"/job:worker/task:2", "without leaving"},
                 [&] { member.barrier("never", kLong); });
    expect_error(Code::kUnavailable, {"/job:worker/task:2"}, [&] { member.get("key", kLong); });
    EXPECT_EQ(member.error()->code(), Code::kUnavailable);
  });
}

TEST_F(MemberTest, ReportedErrorReachesAll) {
  start(3);
  on_all([&](Member& member, int index) {
    if (index == 1) member.report_error(OutOfRange("data: ended early"));
    expect_error(Code::kOutOfRange, {"/job:worker/task:1: data: ended early"},
                 [&] { member.barrier("never", kLong); });
  });
}

TEST_F(MemberTest, WatchesAreToldOnce) {
  start(2);
  std::promise<std::string> told;
  std::atomic<int> calls = 0, removed_calls = 0;
  members_[0]->watch([&](const Error& error) {
    if (calls.fetch_add(1) == 0) told.set_value(error.what());
  });
  const int removed = members_[0]->watch([&](const Error&) { removed_calls.fetch_add(1); });
  members_[0]->unwatch(removed);
  members_[1]->report_error(Internal("first"));
  members_[1]->report_error(Internal("second"));
  EXPECT_THAT(told.get_future().get(), HasSubstr("first"));
  int late_calls = 0;
  members_[0]->watch([&](const Error&) { ++late_calls; });
  EXPECT_EQ(late_calls, 1);
  EXPECT_EQ(calls.load(), 1);
  EXPECT_EQ(removed_calls.load(), 0);
}

TEST_F(MemberTest, LeavingIsNoDeath) {
  start(4);
  on_all([&](Member& member, int index) {
    member.leave(kLong);
    EXPECT_EQ(member.error(), std::nullopt);
    expect_error(Code::kFailedPrecondition, {"has left"}, [&] { member.barrier("late", kLong); });
    members_[static_cast<size_t>(index)].reset();
  });
  EXPECT_FALSE(coordinator_->error());
}

TEST_F(MemberTest, SecondMemberOfOneTaskIsRefused) {
  start(2);
  Member second(Member::Options{.tasks = tasks_, .self = 1});
  expect_error(Code::kAlreadyExists, {"/job:worker/task:1", "process"}, [&] {
    second.take_seat(
        [&](PipeReceiver receiver) { return connect_locally(coordinator_, std::move(receiver)); },
        kLong);
  });
  members_[0]->insert("still", "works");
  EXPECT_EQ(members_[1]->get("still", kLong), "works");
}

// A leader that accepts a seat and is never heard of again.
class SilentPipe final : public Pipe {
 public:
  explicit SilentPipe(PipeReceiver receiver) : receiver_(std::move(receiver)) {}
  void send(Message message) override {
    if (message.kind != MessageKind::kRegister) return;
    receiver_.received({.kind = MessageKind::kRegistered});
    receiver_.received({.kind = MessageKind::kStarted});
  }
  void close() override {}

 private:
  const PipeReceiver receiver_;
};

TEST_F(MemberTest, SilentLeaderIsDead) {
  Member member(Member::Options{.tasks = {{"chief", 0}, {"worker", 0}},
                                .self = 1,
                                .heartbeat_interval = milliseconds(20),
                                .dead_after = milliseconds(200)});
  member.set_leader_address("host:1");
  member.take_seat(
      [](PipeReceiver receiver) { return std::make_unique<SilentPipe>(std::move(receiver)); },
      kLong);
  ASSERT_TRUE(member.wait_for_start(kLong));
  expect_error(Code::kUnavailable, {"/job:chief/task:0", "host:1", "not answered"},
               [&] { member.barrier("never", kLong); });
}

TEST_F(MemberTest, LeadersEndIsTold) {
  auto leader =
      std::make_unique<Leader>(Coordinator::Options{.tasks = {{"chief", 0}}}, LeaderOptions{});
  Member member(Member::Options{.tasks = {{"chief", 0}}});
  member.take_seat(
      [&](PipeReceiver receiver) {
        return connect_locally(leader->coordinator(), std::move(receiver));
      },
      kLong);
  auto waiting = std::async(std::launch::async, [&] {
    expect_error(Code::kUnavailable, {"the leader /job:chief/task:0 has ended"},
                 [&] { member.get("key", kLong); });
  });
  leader.reset();
  waiting.get();
}

TEST(SessionTest, AnythingBeforeARegistrationIsRefused) {
  const auto coordinator =
      std::make_shared<Coordinator>(Coordinator::Options{.tasks = {{"chief", 0}}});
  for (int kind = 0; kind < 32; ++kind) {
    std::vector<Message> got;
    bool closed = false;
    const auto pipe = connect_locally(
        coordinator, {.received = [&](Message message) { got.push_back(std::move(message)); },
                      .closed = [&](const std::string&) { closed = true; }});
    pipe->send({.kind = static_cast<MessageKind>(kind), .id = 7});
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].kind, MessageKind::kFailed);
    EXPECT_EQ(got[0].code, static_cast<int>(Code::kInvalidArgument));
    EXPECT_TRUE(closed);
    pipe->send({.kind = MessageKind::kInsert, .name = "key"});
    EXPECT_EQ(got.size(), 1u);
  }
  EXPECT_FALSE(coordinator->error());
}

}  // namespace
}  // namespace cohort::cluster
