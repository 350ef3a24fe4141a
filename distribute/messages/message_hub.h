#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/distribute/messages/message_port.h"
#include "cohort/distribute/transport/link.h"
#include "cohort/distribute/transport/shared_connection.h"

namespace cohort::distribute {

/// A call as the hub sees it; guarded by the hub's mutex.
struct PendingCall {
  uint64_t link = 0;
  uint32_t id = 0;
  std::span<char> reply;
  size_t total = 0, got = 0;
  bool sent = false;           ///< all of the request has left
  Code code{};                 ///< of the failure that is being received
  std::string message;         ///< of it
  std::optional<Error> error;  ///< how it ends
  std::atomic<bool> done{false};
  std::condition_variable arrived;
};

/// What a MessagePort and its handles share: the connections, and the thread that serves them.
class MessageHub : public std::enable_shared_from_this<MessageHub>, private Link::Frames {
 public:
  MessageHub(MessagePortOptions options, std::shared_ptr<MessageHandler> handler);
  ~MessageHub() override;

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  /// Of the port: nothing happens after it.
  void stop();
  const std::string& address() const { return address_; }

  std::shared_ptr<MessagePeer> connect(const std::string& address,
                                       std::chrono::milliseconds timeout);
  std::shared_ptr<PendingCall> call(const MessagePeer& peer, uint32_t method,
                                    std::span<const char> request, std::span<char> reply);
  size_t wait(PendingCall& call, std::chrono::milliseconds timeout);
  /// Afterwards nothing touches the call's memory.
  void give_up(PendingCall& call);
  /// `error`: null for a reply.
  void answer(const MessagePeer& peer, uint32_t id, std::span<const char> data,
              std::shared_ptr<const void> keep, const Error* error);
  void close(const MessagePeer& peer);

 private:
  using Clock = std::chrono::steady_clock;

  /// The payload of the first frame both ways.
  struct Hello {
    char secret[32] = {};
    char name[200] = {};
    char local[32] = {};  ///< the sender listens for processes of its host; all zeros: it does not
    /// The sender asks where that is, and says the rest of its hello afterwards, here or there.
    uint64_t asks = 0;
  };
  struct Incoming {
    uint32_t method = 0;
    std::shared_ptr<char> memory;
    size_t total = 0, got = 0;
    std::optional<Error> refusal;
  };
  /// What came of a connect().
  struct Outcome {
    std::shared_ptr<MessagePeer> peer;
    std::optional<std::string> local;  ///< where the other end listens for processes of its host
    std::optional<Error> error;
  };
  struct Peer {
    std::shared_ptr<Link> link;
    std::shared_ptr<MessagePeer> handle;  ///< since its hello
    std::shared_ptr<Outcome> outcome;     ///< of the connect() that made it
    Clock::time_point since = Clock::now();
    Hello own, theirs;
    std::string farewell;  ///< why it ends, in its own words
    std::map<uint32_t, std::shared_ptr<PendingCall>> calls;
    std::map<uint32_t, Incoming> incoming;
    std::map<uint32_t, size_t> held;  ///< bytes of its requests and their answers, by request
    std::map<uint32_t, std::shared_ptr<const void>> answers;  ///< memory of those under way
    size_t num_held = 0;
    uint32_t next_call = 1;
  };
  struct Departed {
    std::shared_ptr<MessagePeer> handle;
    Error why;
  };

  std::optional<char*> place_of(Link& link, const FrameHeader& frame) override;
  void received(Link& link, const FrameHeader& frame) override;
  void sent(Link& link, const FrameHeader& frame) override;

  void run();
  void work_once();
  void handle(const epoll_event& event);
  void tell_handler();
  void accept_all(const FileDescriptor& listener);
  Peer& add_peer(std::unique_ptr<Connection> connection, std::string name);
  Peer* find(uint64_t link);
  /// Runs `step` of a connection; where it throws, that connection ends.
  template <class Step>
  void work(uint64_t link, Step&& step);
  void end(uint64_t link, const Error& why);
  void end_late_strangers();
  bool shares_memory() const;
  void greet(Peer& peer);
  std::shared_ptr<MessagePeer> introduce(Peer& peer, Clock::time_point deadline,
                                         std::unique_lock<std::mutex>& lock);
  void welcome(Peer& peer);
  std::optional<char*> place_of_request(Peer& peer, const FrameHeader& frame);
  char* place_of_reply(Peer& peer, const FrameHeader& frame);
  Incoming take_in(const Peer& peer, const FrameHeader& frame);
  void finish_request(Peer& peer, const FrameHeader& frame);
  void finish_reply(Peer& peer, const FrameHeader& frame);
  void send_all(Peer& peer, FrameHeader frame, std::span<const char> data);
  void queue_answer(Peer& peer, uint32_t id, std::span<const char> data,
                    std::shared_ptr<const void> keep, const Error* error);
  void release(Peer& peer, uint32_t id);
  void end_call(Peer& peer, uint32_t id, std::optional<Error> error);
  void give_up(PendingCall& call, const Error& why);
  void drive(const PendingCall& call, Clock::time_point deadline,
             std::unique_lock<std::mutex>& lock);
  char* scratch();
  void ring() const;

  const MessagePortOptions options_;
  Poller poller_;
  FileDescriptor bell_, listener_;
  LocalListener local_;
  std::string address_;
  std::mutex mutex_;  ///< guards what follows
  /// Until the end: a handler may keep requests, which keep this. Its thread reads it without.
  std::shared_ptr<MessageHandler> handler_;
  std::map<uint64_t, std::unique_ptr<Peer>> peers_;
  std::set<uint64_t> again_;      ///< connections to be read without a word of the poller
  std::set<uint64_t> strangers_;  ///< connections that have not said who they are
  std::vector<std::shared_ptr<MessageRequest>> ready_;
  std::vector<Departed> departed_;
  std::vector<char> scratch_;  ///< where frames go that nobody needs
  std::condition_variable greeted_;
  uint64_t next_link_ = 0;
  std::optional<Clock::time_point> deaf_;  ///< no descriptors are left; listens again then
  bool stopped_ = false;
  std::thread thread_;
};

template <class Step>
void MessageHub::work(uint64_t id, Step&& step) {
  Peer* peer = find(id);
  if (!peer) return;
  try {
    Link& link = *peer->link;
    step(link);
    if (!link.is_idle() && !link.waits_for_room()) link.flush();
    if (link.has_unread() && again_.insert(id).second) ring();
  } catch (const Error& error) {
    end(id, error);
  } catch (const std::exception& error) {
    end(id, ResourceExhausted("{}: {}", options_.name, error.what()));
  }
}

}  // namespace cohort::distribute
