#include "cohort/cluster/handshake.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>

#include "cohort/cluster/session.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

const std::string kSecret = "0123456789abcdef-of-a-job";
const Task kWorker{"worker", 1};

// The other end of a stream, as the gate has it.
class RecordingPipe final : public Pipe {
 public:
  void send(Message message) override { sent.push_back(std::move(message)); }
  void close() override { closed = true; }

  std::vector<Message> sent;
  bool closed = false;
};

class HandshakeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      hmac_ = rpc_module().hmac_sha256;
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }

  Credentials credentials(const std::string& secret, const std::string& job_id = "job") const {
    return {secret, job_id, hmac_};
  }

  // A stream to a leader with these credentials.
  void call(const Credentials& leaders) {
    pipe_ = std::make_shared<RecordingPipe>();
    accepted_ = 0;
    inside_.clear();
    receiver_ = guard({.credentials = leaders,
                       .accept = [this](std::shared_ptr<Pipe>, const Peer&) -> PipeReceiver {
                         ++accepted_;
                         return {.received = [this](Message m) { inside_.push_back(m); },
                                 .closed = [](const std::string&) {}};
                       },
                       .refused =
                           [this](const Task& task, const std::string& peer) {
                             refused_ = task.to_string() + " at " + peer;
                           }})(pipe_, {.address = "10.0.0.7:1", .admit = {}});
  }
  Message send(const Message& message) {
    pipe_->sent.clear();
    receiver_.received(message);
    return pipe_->sent.empty() ? Message{} : pipe_->sent.back();
  }

  HmacSha256 hmac_ = nullptr;
  std::shared_ptr<RecordingPipe> pipe_;
  PipeReceiver receiver_;
  int accepted_ = 0;
  std::vector<Message> inside_;
  std::string refused_;
};

// RFC 4231, cases 1, 2, 3 and 6.
TEST_F(HandshakeTest, HmacIsThatOfTheStandard) {
  const auto hex = [&](const std::string& key, const std::string& text) {
    const std::string digest = hmac_(key, text);
    const std::vector<unsigned char> bytes(digest.begin(), digest.end());
    return fmt::format("{:02x}", fmt::join(bytes, ""));
  };
  EXPECT_EQ(hex(std::string(20, '\x0b'), "Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(std::string(20, '\xaa'), std::string(50, '\xdd')),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  EXPECT_EQ(hex(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_F(HandshakeTest, BothEndsKnowTheSecret) {
  call(credentials(kSecret));
  Introduction task(credentials(kSecret), kWorker, "the leader");
  const Message challenge = send(task.hello());
  EXPECT_EQ(accepted_, 0);
  const Message proof = send(task.prove(challenge));
  EXPECT_EQ(accepted_, 1);
  task.check(proof);
  send({.kind = MessageKind::kRegister});
  ASSERT_THAT(inside_, SizeIs(1));
  EXPECT_EQ(inside_[0].kind, MessageKind::kRegister);
}

TEST_F(HandshakeTest, SecretDoesNotTravel) {
  call(credentials(kSecret));
  Introduction task(credentials(kSecret), kWorker, "the leader");
  const Message hello = task.hello(), challenge = send(hello), proof = task.prove(challenge);
  for (const Message& message : {hello, challenge, proof, send(proof)}) {
    EXPECT_THAT(message.value, Not(HasSubstr(kSecret)));
    EXPECT_THAT(message.error + message.name, Not(HasSubstr(kSecret)));
  }
}

TEST_F(HandshakeTest, NoSecretIsAskedForWhereThereIsNone) {
  call(credentials(""));
  Introduction task(credentials(""), kWorker, "the leader");
  EXPECT_NE(task.prove(send(task.hello())).kind, MessageKind::kProof);
  EXPECT_EQ(accepted_, 1);
}

TEST_F(HandshakeTest, TaskWithAnotherSecretOrJobIsRefusedAndTold) {
  for (const Credentials& other :
       {credentials("another-secret-of-a-job"), credentials(kSecret, "other")}) {
    call(credentials(kSecret));
    Introduction task(other, kWorker, "the leader at h:1");
    const Message answer = send(task.prove(send(task.hello())));
    EXPECT_EQ(answer.kind, MessageKind::kFailed);
    EXPECT_EQ(answer.error, "cluster: refused") << "strangers hear no more";
    EXPECT_TRUE(pipe_->closed);
    EXPECT_EQ(accepted_, 0);
    EXPECT_EQ(refused_, "/job:worker/task:1 at 10.0.0.7:1");
    expect_error(Code::kPermissionDenied,
                 {"the leader at h:1", "/job:worker/task:1", "same secret"},
                 [&] { task.check(answer); });
  }
}

TEST_F(HandshakeTest, LeaderWithoutTheSecretIsNotBelieved) {
  call(credentials("another-secret-of-a-job"));
  Introduction task(credentials(kSecret), kWorker, "the leader at h:1");
  task.prove(send(task.hello()));
  for (const std::string& value : {std::string(), std::string(32, 'x')})
    expect_error(Code::kPermissionDenied, {"the leader at h:1 does not know the job's secret"},
                 [&] { task.check({.kind = MessageKind::kProof, .value = value}); });
}

TEST_F(HandshakeTest, OwnProofSentBackProvesNothing) {
  Introduction task(credentials(kSecret), kWorker, "the leader");
  const Message proof =
      task.prove({.kind = MessageKind::kChallenge, .value = std::string(32, 'm')});
  expect_error(Code::kPermissionDenied, {"does not know"}, [&] { task.check(proof); });
}

TEST_F(HandshakeTest, ProofOfAnEarlierStreamIsRefused) {
  call(credentials(kSecret));
  Introduction task(credentials(kSecret), kWorker, "the leader");
  const Message hello = task.hello(), proof = task.prove(send(hello));
  call(credentials(kSecret));
  send(hello);
  EXPECT_EQ(send(proof).kind, MessageKind::kFailed);
  EXPECT_EQ(accepted_, 0);
}

TEST_F(HandshakeTest, ProofIsThatOfOneTask) {
  call(credentials(kSecret));
  Introduction task(credentials(kSecret), kWorker, "the leader");
  Message hello = task.hello();
  hello.tasks = {{"worker", 2}};
  EXPECT_EQ(send(task.prove(send(hello))).kind, MessageKind::kFailed);
  EXPECT_EQ(accepted_, 0);
}

TEST_F(HandshakeTest, SecretOnOneSideOnlyIsAnErrorThatSaysSo) {
  Introduction without(credentials(""), kWorker, "the leader");
  call(credentials(kSecret));
  const Message challenge = send(without.hello());
  expect_error(Code::kFailedPrecondition, {"wants the job's secret", "COHORT_JOB_SECRET_FILE"},
               [&] { without.prove(challenge); });
  Introduction with(credentials(kSecret), kWorker, "the leader");
  call(credentials(""));
  const Message none = send(with.hello());
  expect_error(Code::kFailedPrecondition, {"knows no secret"}, [&] { with.prove(none); });
}

TEST_F(HandshakeTest, NothingGetsInBeforeTheProof) {
  for (int kind = 0; kind < 32; ++kind) {
    for (const bool greeted : {false, true}) {
      call(credentials(kSecret));
      Introduction task(credentials(kSecret), kWorker, "the leader");
      if (greeted) send(task.hello());
      const Message answer = send({.kind = static_cast<MessageKind>(kind), .id = 7});
      EXPECT_EQ(answer.kind, MessageKind::kFailed);
      EXPECT_TRUE(pipe_->closed);
      send(task.hello());
      EXPECT_TRUE(pipe_->sent.empty()) << "the stream has ended";
      EXPECT_EQ(accepted_, 0);
    }
  }
}

}  // namespace
}  // namespace cohort::cluster
