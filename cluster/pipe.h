#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cohort/cluster/message.h"
#include "cohort/core/chrono.h"

namespace cohort::cluster {

/// One end of a two-way stream of messages between a task and the leader. Thread-safe. The
/// destructor returns when the receiver is not running and will not run.
class Pipe {
 public:
  virtual ~Pipe() = default;
  /// Never blocks; messages arrive in the order of the calls. Nothing happens after the end.
  virtual void send(Message message) = 0;
  /// Sends what waits to be sent, then ends the stream.
  virtual void close() = 0;
  /// After an error was sent to be told to the other tasks, in the leader's process: waits,
  /// `timeout` at most, until they have heard it. Elsewhere the leader's answer says so.
  virtual void await_told(std::chrono::milliseconds) {}
};

/// The other side of a pipe's end: called by one thread at a time. Must not throw, block, or
/// destroy the pipe.
struct PipeReceiver {
  std::function<void(Message)> received;
  /// Last of all: the stream has ended, and why.
  std::function<void(const std::string& reason)> closed;
};

/// Who is at the other end of a server's stream.
struct Peer {
  std::string address;  ///< "10.0.0.7:51234", for people
  /// Says that it belongs here: its connection is not ended as a stranger's any more. May be none.
  std::function<void()> admit;
};

/// What a server does with a new stream.
using AcceptPipe = std::function<PipeReceiver(std::shared_ptr<Pipe> pipe, Peer peer)>;

}  // namespace cohort::cluster
