#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cohort/cluster/task.h"
#include "cohort/cluster/wait_board.h"

namespace cohort::cluster {

/// What a task says of itself when it takes its seat.
struct Registration {
  Task task;
  uint64_t incarnation = 0;  ///< a random number, new for every start of the process
  std::string job_id;
  std::string version;  ///< of the program; all tasks of a job run the same
  std::string place;    ///< for people: "host worker-1, process 4711"
};

enum class MessageKind : uint8_t {
  // First of all, both ways: see handshake.h.
  kHello = 15,      ///< tasks: the one that sends it; value
  kChallenge = 16,  ///< value
  kProof = 17,      ///< value
  // From a task to the leader. A request has an id, which its kReply repeats.
  kRegister = 1,     ///< registration
  kHeartbeat = 2,    ///< waits, calls; answered by kAlive
  kInsert = 3,       ///< request: name, value
  kGet = 4,          ///< request: name, timeout_ms; the reply has the value
  kTryGet = 5,       ///< request: name; the reply has a value or the code NotFound
  kBarrier = 6,      ///< request: name, timeout_ms, tasks (none: all)
  kReportError = 7,  ///< code, error
  kLeave = 8,        ///< request: timeout_ms, calls
  kEnd = 9,          ///< the task ends without leaving
  // From the leader to a task.
  kRegistered = 10,  ///< it has its seat
  kAlive = 11,       ///< error: which tasks are missing, until all have come
  kStarted = 12,     ///< every task has its seat
  kFailed = 13,      ///< code, error: what the cluster failed with, or why there is no seat
  kReply = 14,       ///< id, value; code and error when it failed
};

/// One message between a task and the leader, either way. What a kind does not use is empty.
struct Message {
  MessageKind kind{};
  uint64_t id = 0;
  std::string name;
  std::string value;
  std::vector<Task> tasks;
  int64_t timeout_ms = 0;
  int code = 0;  ///< a cohort::Code, 0: no error
  std::string error;
  std::optional<Registration> registration;
  std::vector<Wait> waits;  ///< of the task, that have lasted a while
  uint64_t calls = 0;       ///< WaitBoard::calls() of the task
};

/// Key and value of one insert together; a message is bounded a little above it.
inline constexpr size_t kMaxValueBytes = size_t{1} << 20;
inline constexpr size_t kMaxMessageBytes = kMaxValueBytes + (size_t{64} << 10);
/// An error's text in a message; longer ones are cut.
inline constexpr size_t kMaxErrorBytes = size_t{64} << 10;

}  // namespace cohort::cluster
