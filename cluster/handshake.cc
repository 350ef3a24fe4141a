#include "cohort/cluster/handshake.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "cohort/cluster/session.h"

namespace cohort::cluster {
namespace {

constexpr size_t kNonceBytes = 32;
constexpr size_t kMaxTypeBytes = 64;

std::string new_nonce() {
  std::string nonce(kNonceBytes, '\0');
  if (getrandom(nonce.data(), nonce.size(), 0) != static_cast<ssize_t>(nonce.size()))
    throw Unavailable("cluster: no random bytes: {}", std::strerror(errno));
  return nonce;
}

// With its length, so that no two lists of fields are one text.
void append(std::string& text, std::string_view field) {
  for (int shift = 0; shift < 64; shift += 8)
    text += static_cast<char>(uint64_t{field.size()} >> shift & 0xff);
  text += field;
}

std::string proof_of(const Credentials& credentials, std::string_view side,
                     std::string_view tasks_nonce, std::string_view leaders_nonce,
                     const Task& task) {
  std::string text = "cohort control 1";
  for (const std::string_view field :
       {side, tasks_nonce, leaders_nonce, std::string_view(credentials.job_id),
        std::string_view(task.type)})
    append(text, field);
  append(text, std::to_string(task.index));
  return credentials.hmac(credentials.secret, text);
}

// In a time that does not depend on where they differ.
bool equal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

// One stream that has not shown yet that it belongs here.
class Newcomer {
 public:
  Newcomer(std::shared_ptr<const Gate> gate, std::shared_ptr<Pipe> pipe, Peer peer)
      : gate_(std::move(gate)), pipe_(std::move(pipe)), peer_(std::move(peer)) {}

  void receive(Message message) {
    if (inner_.received) return inner_.received(std::move(message));
    if (!pipe_) return;
    try {
      if (nonce_.empty())
        greet(message);
      else
        judge(message);
    } catch (const Error& error) {
      pipe_->send({.kind = MessageKind::kFailed,
                   .code = static_cast<int>(error.code()),
                   .error = error.what()});
      pipe_->close();
      pipe_.reset();
    }
  }

  void closed(const std::string& reason) {
    if (inner_.closed) inner_.closed(reason);
    inner_ = {};
    pipe_.reset();
  }

 private:
  void greet(const Message& hello) {
    if (hello.kind != MessageKind::kHello || hello.tasks.size() != 1 ||
        hello.tasks[0].type.size() > kMaxTypeBytes || hello.value.size() != kNonceBytes)
      throw InvalidArgument("cluster: got message {}; want a task's hello first",
                            static_cast<int>(hello.kind));
    task_ = hello.tasks[0];
    tasks_nonce_ = hello.value;
    nonce_ = new_nonce();
    const bool wants_proof = !gate_->credentials.secret.empty();
    if (!wants_proof) let_in();
    send(MessageKind::kChallenge, wants_proof ? nonce_ : "");
  }

  void judge(const Message& proof) {
    const Credentials& ours = gate_->credentials;
    if (proof.kind != MessageKind::kProof ||
        !equal(proof.value, proof_of(ours, "task", tasks_nonce_, nonce_, task_))) {
      if (gate_->refused) gate_->refused(task_, peer_.address);
      throw Error(Code::kPermissionDenied, "cluster: refused");
    }
    let_in();
    send(MessageKind::kProof, proof_of(ours, "leader", tasks_nonce_, nonce_, task_));
  }

  void let_in() { inner_ = gate_->accept(pipe_, std::move(peer_)); }
  void send(MessageKind kind, std::string value) {
    pipe_->send({.kind = kind, .value = std::move(value)});
  }

  const std::shared_ptr<const Gate> gate_;
  std::shared_ptr<Pipe> pipe_;
  Peer peer_;
  Task task_;
  std::string tasks_nonce_, nonce_;
  PipeReceiver inner_;  // since it was let in
};

}  // namespace

AcceptPipe guard(Gate gate) {
  return [gate = std::make_shared<const Gate>(std::move(gate))](std::shared_ptr<Pipe> pipe,
                                                                Peer peer) -> PipeReceiver {
    auto newcomer = std::make_shared<Newcomer>(gate, std::move(pipe), std::move(peer));
    return {.received = [newcomer](Message message) { newcomer->receive(std::move(message)); },
            .closed = [newcomer](const std::string& reason) { newcomer->closed(reason); }};
  };
}

Introduction::Introduction(Credentials credentials, Task self, std::string leader)
    : credentials_(std::move(credentials)),
      self_(std::move(self)),
      leader_(std::move(leader)),
      nonce_(new_nonce()) {}

Message Introduction::hello() const {
  return {.kind = MessageKind::kHello, .value = nonce_, .tasks = {self_}};
}

Message Introduction::prove(const Message& challenge) {
  if (challenge.kind == MessageKind::kFailed) throw error_of(challenge);
  if (challenge.kind != MessageKind::kChallenge)
    throw FailedPrecondition("cluster: {} speaks another version of Cohort", leader_);
  const bool wanted = !challenge.value.empty();
  if (wanted && credentials_.secret.empty())
    throw FailedPrecondition(
        "cluster: {} wants the job's secret, and {} has none; want the same COHORT_JOB_SECRET_FILE "
        "or COHORT_JOB_SECRET for all tasks",
        leader_, self_.to_string());
  if (!wanted && !credentials_.secret.empty())
    throw FailedPrecondition(
        "cluster: {} knows no secret of the job, and {} has one; want the same for all tasks",
        leader_, self_.to_string());
  if (!wanted) return {};
  leaders_nonce_ = challenge.value;
  return {.kind = MessageKind::kProof,
          .value = proof_of(credentials_, "task", nonce_, leaders_nonce_, self_)};
}

void Introduction::check(const Message& proof) const {
  if (proof.kind == MessageKind::kProof &&
      equal(proof.value, proof_of(credentials_, "leader", nonce_, leaders_nonce_, self_)))
    return;
  if (proof.kind == MessageKind::kFailed)
    throw Error(Code::kPermissionDenied,
                fmt::format("cluster: {} refuses the secret of {}; want the same secret and the "
                            "same job id ('{}' here) for all tasks",
                            leader_, self_.to_string(), credentials_.job_id));
  throw Error(Code::kPermissionDenied,
              fmt::format("cluster: {} does not know the job's secret", leader_));
}

}  // namespace cohort::cluster
