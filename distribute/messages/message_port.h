#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "cohort/cluster/port_range.h"
#include "cohort/core/chrono.h"
#include "cohort/core/error.h"
#include "cohort/distribute/transport/connection.h"

/// Messages between processes: requests with replies, many in flight, between peers that come and
/// go. A peer that fails ends its own calls and nobody else's.
namespace cohort::distribute {

class MessageHub;
class MessagePeer;
struct PendingCall;

/// A call under way. Moves; gone before its end, it is given up.
class MessageCall {
 public:
  MessageCall(std::shared_ptr<MessageHub> hub, std::shared_ptr<PendingCall> call)
      : hub_(std::move(hub)), call_(std::move(call)) {}
  MessageCall(MessageCall&&) noexcept = default;
  MessageCall& operator=(MessageCall&&) = delete;
  ~MessageCall();

  /// Waits for the reply and returns its bytes; afterwards the memory of request and reply belongs
  /// to the caller again, whatever comes. Throws what the handler failed with; Unavailable when the
  /// peer is gone; InvalidArgument when the reply is larger than its memory; DeadlineExceeded,
  /// after which the reply is dropped when it comes. A peer that has not even taken the request by
  /// then is given up, with all its calls: its memory could not be let go otherwise.
  size_t wait(std::chrono::milliseconds timeout);

 private:
  std::shared_ptr<MessageHub> hub_;
  std::shared_ptr<PendingCall> call_;
};

/// The other end of one connection. Thread-safe. The connection ends with the port.
class MessagePeer {
 public:
  MessagePeer(std::shared_ptr<MessageHub> hub, uint64_t link, std::string name)
      : hub_(std::move(hub)), link_(link), name_(std::move(name)) {}

  /// What it calls itself.
  const std::string& name() const { return name_; }
  /// Asks for `method`, a number of the user's. `request` is sent from where it lies and `reply`
  /// received into its memory, in pieces: both stay as they are until wait() has returned. Throws
  /// Unavailable when the peer is gone, InvalidArgument for a request that no peer takes.
  MessageCall call(uint32_t method, std::span<const char> request, std::span<char> reply);
  /// Ends the connection: its calls, here and there, are Unavailable.
  void close();
  /// Whether two handles are of one connection.
  uint64_t link() const { return link_; }

 private:
  std::shared_ptr<MessageHub> hub_;
  uint64_t link_;
  std::string name_;
};

/// What a peer asks for, to be answered once, by any thread; later answers are dropped, as those to
/// a peer that has gone are. Gone unanswered, it fails there with Internal.
class MessageRequest {
 public:
  MessageRequest(std::shared_ptr<MessagePeer> peer, std::shared_ptr<MessageHub> hub, uint32_t id,
                 uint32_t method, std::shared_ptr<char> memory, size_t bytes)
      : peer_(std::move(peer)),
        hub_(std::move(hub)),
        id_(id),
        method_(method),
        memory_(std::move(memory)),
        bytes_(bytes) {}
  MessageRequest(const MessageRequest&) = delete;
  MessageRequest& operator=(const MessageRequest&) = delete;
  ~MessageRequest();

  /// Who asks; can be called in turn.
  const std::shared_ptr<MessagePeer>& peer() const { return peer_; }
  uint32_t method() const { return method_; }
  /// In the memory that the handler gave for it.
  std::span<const char> payload() const { return {memory_.get(), bytes_}; }

  /// `data` is sent from where it lies; `keep` holds it until then. What goes with it must not call
  /// the port (its mutex is held), as another request that is unanswered would.
  void reply(std::span<const char> data, std::shared_ptr<const void> keep);
  void reply(std::string data);
  /// With the first 1000 bytes of what it says.
  void fail(const Error& error);

 private:
  const std::shared_ptr<MessagePeer> peer_;
  const std::shared_ptr<MessageHub> hub_;
  const uint32_t id_;
  const uint32_t method_;
  const std::shared_ptr<char> memory_;
  const size_t bytes_;
  std::atomic<bool> answered_{false};
};

/// What a port does with requests. All of it is called by the port's thread, one after the other.
class MessageHandler {
 public:
  virtual ~MessageHandler() = default;
  /// Where a request of so many bytes goes; it is held until the request is gone. Must not call the
  /// port (its mutex is held). Throws to refuse: the request fails there with that. By default new
  /// memory.
  virtual std::shared_ptr<char> memory_for(const std::string& peer, uint32_t method, size_t bytes);
  /// Must not wait: what takes long is handed to another thread. What it throws is the answer.
  virtual void handle(const std::shared_ptr<MessageRequest>& request) = 0;
  /// A peer is gone, and with it what it had asked for.
  virtual void left(const MessagePeer& peer, const Error& why);
};

struct MessagePortOptions {
  std::string name;    ///< of this end, at most 200 bytes; peers and errors call it so
  std::string secret;  ///< the same on both ends, 32 bytes at most; others are refused
  /// Where it listens; empty: nowhere, it only calls others.
  std::string address = {};
  cluster::PortRange ports = {};
  std::shared_ptr<const ConnectionMaker> connections = make_plain_connections();
  /// Between processes of one host that both say so, through shared memory; never beside TLS.
  bool shared_memory = true;
  size_t max_request_bytes = size_t{256} << 20;  ///< larger ones of peers fail there
  /// Of one peer: requests and replies that are held here. While it has more, nothing is read of it
  /// (but one request always is).
  size_t max_held_bytes = size_t{512} << 20;
  size_t max_peers = 4096;  ///< later ones are turned away
};

/// One thread, which serves all connections. Thread-safe.
class MessagePort {
 public:
  /// Throws what listening does (ResourceExhausted, Unavailable), InvalidArgument for a name or
  /// secret that is too long.
  explicit MessagePort(MessagePortOptions options,
                       std::shared_ptr<MessageHandler> handler = nullptr);
  /// Ends all connections; calls that wait throw Cancelled. Must not be called by the handler.
  ~MessagePort();

  /// "host:port", where it listens.
  const std::string& address() const;
  /// Throws Unavailable when nobody listens there, PermissionDenied when one end refuses the other
  /// (its secret, its certificate), DeadlineExceeded.
  std::shared_ptr<MessagePeer> connect(const std::string& address,
                                       std::chrono::milliseconds timeout);

 private:
  std::shared_ptr<MessageHub> hub_;
};

}  // namespace cohort::distribute
