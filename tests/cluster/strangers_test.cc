// Whom a leader must not let in, and what it must not tell them.
#include <condition_variable>
#include <cstring>
#include <deque>
#include <filesystem>
#include <iterator>
#include <mutex>
#include <optional>
#include <thread>

#include "tests/cluster/hostile_support.h"

namespace cohort::cluster {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class StrangersTest : public HostileTest {};

constexpr milliseconds kStrangersTimeout(30'000);
constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Somebody who speaks the protocol, and says what he likes.
class Caller {
 public:
  Caller(const RpcModule& rpc, const RpcTarget& target)
      : pipe_(rpc.connect(target, {.received = [this](Message message) { put(std::move(message)); },
                                   .closed = [this](const std::string&) { put(std::nullopt); }})) {}

  void send(Message message) { pipe_->send(std::move(message)); }

  // What the leader says next; an error's text for its end.
  Message next() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kStrangersTimeout, [&] { return !got_.empty(); })) {
      ADD_FAILURE() << "the leader does not answer";
      return {};
    }
    std::optional<Message> message = std::move(got_.front());
    got_.pop_front();
    return message ? std::move(*message) : Message{.error = "the stream has ended"};
  }

 private:
  void put(std::optional<Message> message) {
    const std::lock_guard lock(mutex_);
    got_.push_back(std::move(message));
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::optional<Message>> got_;  // guarded by mutex_
  std::unique_ptr<Pipe> pipe_;
};

Message hello(const Task& task) {
  return {.kind = MessageKind::kHello, .value = std::string(32, 'n'), .tasks = {task}};
}
Message registration(const Registration& registration) {
  return {.kind = MessageKind::kRegister, .registration = registration};
}

TEST_F(StrangersTest, StrangersAreToldNothing) {
  plan_.job_id = "the-id";
  plan_.version = "the-version";
  plan_.secret = "0123456789abcdef-of-a-job";
  start();
  const Task seat{"worker", 1};
  const Registration guess{.task = seat, .job_id = "guess", .version = "x", .place = "here"};
  const std::vector<std::vector<Message>> tries = {
      {registration(guess)},
      {{.kind = MessageKind::kTryGet, .name = "hosts/0"}},
      {hello(seat), registration(guess)},
      {hello(seat), {.kind = MessageKind::kProof, .value = std::string(32, 'p')}},
      {hello({"worker", 99}), {.kind = MessageKind::kProof}},
      {hello(seat), {.kind = MessageKind::kReportError, .code = 14, .error = "a lie"}}};
  for (const std::vector<Message>& words : tries) {
    Caller stranger(rpc_, target_);
    std::string heard;
    for (const Message& word : words) {
      stranger.send(word);
      const Message answer = stranger.next();
      heard += answer.error + answer.value + answer.name;
    }
    EXPECT_THAT(heard, AllOf(Not(HasSubstr("the-id")), Not(HasSubstr("the-version")),
                             Not(HasSubstr("task:0")), Not(HasSubstr("0123456789"))));
    EXPECT_EQ(stranger.next().error, "the stream has ended");
  }
  expect_that_the_cluster_works();
}

TEST_F(StrangersTest, StrangersWithoutASecretToKnowAreNotToldTheJob) {
  Caller stranger(rpc_, target_);
  stranger.send(hello({"worker", 1}));
  EXPECT_EQ(stranger.next().kind, MessageKind::kChallenge);
  stranger.send(registration({.task = {"nobody", 7}, .job_id = "guess", .version = "x"}));
  EXPECT_THAT(stranger.next().error,
              AllOf(HasSubstr("'guess'"), Not(HasSubstr("'job'")), Not(HasSubstr("worker"))));
  expect_that_the_cluster_works();
}

TEST_F(StrangersTest, HugeRegistrationsAreHarmless) {
  plan_.num_tasks = 4;
  start();
  plan_.self = 1;
  TaskProcess first(plan_);
  while (leader_->wait_for("log").find("2 of 4 tasks are missing") == std::string::npos)
    if (HasFailure()) return;
  const std::string huge(600'000, 'A');
  for (const int index : {2, 3}) {
    for (const Registration& newcomer :
         {Registration{.task = {"worker", index}, .job_id = "guess", .place = huge},
          Registration{.task = {"worker", index}, .job_id = huge},
          Registration{.task = {"worker", index}, .job_id = "job", .version = huge},
          Registration{.task = {huge, index}, .job_id = "job", .version = "1"}}) {
      Caller stranger(rpc_, target_);
      stranger.send(hello({"worker", index}));
      EXPECT_EQ(stranger.next().kind, MessageKind::kChallenge);
      stranger.send(registration(newcomer));
      const Message answer = stranger.next();
      EXPECT_EQ(answer.kind, MessageKind::kFailed);
      EXPECT_LT(answer.error.size(), 4096u);
    }
  }
  std::string line;
  while (line.find("(600000 bytes)") == std::string::npos && !HasFailure())
    line = first.wait_for("log");  // what the leader tells it who is missing
  EXPECT_LT(line.size(), 8192u);
  TaskPlan rest = plan_;
  rest.self = 2;
  TaskProcess second(rest);
  rest.self = 3;
  TaskProcess third(rest);
  for (TaskProcess* process : {leader_.get(), &first, &second, &third}) {
    process->wait_for("done");
    EXPECT_EQ(process->wait_for_exit(), 0);
  }
}

TEST_F(StrangersTest, ForeignTextDoesNotMoveATerminal) {
  Caller stranger(rpc_, target_);
  stranger.send(hello({"worker", 1}));
  stranger.next();
  stranger.send(registration({.task = {"worker", 1},
                              .job_id = "\x1b]0;title\x07",
                              .place = "\x1b[2J\x1b[31mX\n[worker 0] Epoch 9/9 accuracy 1.0\n"}));
  stranger.next();
  std::string line;
  while (line.find("\\x1b[2J") == std::string::npos && !HasFailure())
    line = leader_->wait_for("log");
  EXPECT_THAT(line, AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\x07")),
                          HasSubstr("X\\n[worker 0] Epoch")));
  expect_that_the_cluster_works();
}

int open_descriptors(pid_t process) {
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(process) + "/fd");
  return static_cast<int>(std::distance(begin(all), end(all)));
}

// The leader ends the connection.
void expect_end(int connection) {
  const timeval patience{60, 0};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char byte = 0;
  ssize_t got = 0;
  while ((got = recv(connection, &byte, 1, 0)) > 0) continue;  // a server's settings
  EXPECT_TRUE(got == 0 || errno == ECONNRESET) << std::strerror(errno);
}

// A task that has its seat keeps it, and one that has none yet gets it.
TEST_F(StrangersTest, ThousandIdleConnectionsAreHarmless) {
  plan_.num_tasks = 3;
  start();
  plan_.self = 1;
  TaskProcess first(plan_);
  while (leader_->wait_for("log").find("1 of 3 tasks is missing") == std::string::npos)
    if (HasFailure()) return;
  const DescriptorLimits limits(leader_->pid());
  const int before = open_descriptors(leader_->pid());
  std::vector<int> idle;
  for (int i = 0; i < 1000; ++i) idle.push_back(connect_and_send(""));
  expect_end(idle[900]);  // of those that made way for later ones
  // Two for each stranger, and what gRPC opens for itself meanwhile.
  const int most = before + 2 * (64 + 2 * 3) + 100;
  const auto end = std::chrono::steady_clock::now() + kStrangersTimeout;
  while (open_descriptors(leader_->pid()) > most && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(milliseconds(10));  // nothing tells when it has closed one
  EXPECT_LE(open_descriptors(leader_->pid()), most);
  plan_.self = 2;
  TaskProcess second(plan_);
  for (TaskProcess* process : {leader_.get(), &first, &second}) {
    process->wait_for("done");
    EXPECT_EQ(process->wait_for_exit(), 0);
  }
  for (const int fd : idle) close(fd);
}

TEST_F(StrangersTest, SilentConnectionIsEnded) {
  const int silent = connect_and_send(kHttp2Preface);
  expect_end(silent);
  close(silent);
  expect_that_the_cluster_works();
}

}  // namespace
}  // namespace cohort::cluster
