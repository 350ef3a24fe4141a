#pragma once

#include <functional>
#include <string>

#include "cohort/cluster/pipe.h"
#include "cohort/cluster/rpc.h"

namespace cohort::cluster {

// How a task and its leader find out that both know the job's secret, before either says anything
// else. N and M are 32 random bytes, new for every stream:
//
//   task → leader   kHello      task, N
//   leader → task   kChallenge  M                          nothing: no proof is wanted
//   task → leader   kProof      HMAC(secret, "task" …)
//   leader → task   kProof      HMAC(secret, "leader" …)
//
// where … is N, M, the job's id and the task, and HMAC is HMAC-SHA-256 (RFC 2104). The secret
// itself never travels. This says who is at the other end when the stream begins; that nobody in
// between reads or alters what follows is TLS' part.

/// What both ends of a stream know.
struct Credentials {
  std::string secret;  ///< empty: no proof is asked for
  std::string job_id;
  HmacSha256 hmac = nullptr;  ///< RpcModule's; wanted with a secret
};

/// The leader's side, before a stream gets to whoever serves it.
struct Gate {
  Credentials credentials;
  /// Who serves a peer that has shown that he belongs here.
  AcceptPipe accept;
  /// Told of a task whose proof was wrong, and where it came from; may be none.
  std::function<void(const Task& task, const std::string& peer)> refused;
};

/// What a server does with new streams. A stranger hears that he was refused, and no more.
AcceptPipe guard(Gate gate);

/// The task's side: what it sends, and what it makes of the answers.
class Introduction {
 public:
  /// `leader` is who should be at the other end, for messages.
  Introduction(Credentials credentials, Task self, std::string leader);

  Message hello() const;
  /// The answer to a challenge; its kind is none when no proof is wanted. Throws
  /// FailedPrecondition when the leader wants a proof and this task has no secret, or the other way
  /// round, and what the leader refused it with.
  Message prove(const Message& challenge);
  /// Throws PermissionDenied when `proof` is not that of somebody who knows the secret.
  void check(const Message& proof) const;

 private:
  const Credentials credentials_;
  const Task self_;
  const std::string leader_, nonce_;
  std::string leaders_nonce_;
};

}  // namespace cohort::cluster
