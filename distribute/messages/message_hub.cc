#include "cohort/distribute/messages/message_hub.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cohort/core/system.h"
#include "cohort/distribute/transport/tcp_socket.h"

namespace cohort::distribute {
namespace {

constexpr uint64_t kBell = ~uint64_t{0}, kListener = kBell - 1, kLocalListener = kBell - 2;
constexpr size_t kMaxStrangers = 64;
constexpr auto kStrangerPatience = std::chrono::seconds(5);
constexpr auto kLastWords = std::chrono::milliseconds(1);
constexpr auto kDeaf = std::chrono::milliseconds(500);
constexpr int kLookMs = 500;

std::string name_in(const char (&name)[200]) { return {name, strnlen(name, sizeof name)}; }

Error gone(const std::string& name) { return Unavailable("messages: {} is gone", name); }

}  // namespace

MessageHub::MessageHub(MessagePortOptions options, std::shared_ptr<MessageHandler> handler)
    : options_(std::move(options)),
      bell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      handler_(std::move(handler)) {
  if (options_.name.empty() || options_.name.size() > sizeof Hello::name)
    throw InvalidArgument("messages: got a name of {} bytes; want 1 to {}", options_.name.size(),
                          sizeof Hello::name);
  if (options_.secret.size() > sizeof Hello::secret)
    throw InvalidArgument("messages: got a secret of {} bytes; want at most {}",
                          options_.secret.size(), sizeof Hello::secret);
  if (!bell_) throw system_error("messages: eventfd", errno);
  poller_.add(bell_.get(), kBell);
  if (options_.address.empty()) return;
  TcpListener listener = listen_at(options_.address, options_.ports);
  listener_ = std::move(listener.socket);
  address_ = fmt::format("{}:{}", options_.address, listener.port);
  poller_.add(listener_.get(), kListener);
  if (!shares_memory()) return;
  local_ = listen_locally();
  poller_.add(local_.socket.get(), kLocalListener);
}

bool MessageHub::shares_memory() const {
  return options_.shared_memory && options_.connections->identity() == kPlainIdentity;
}

MessageHub::~MessageHub() { stop(); }

void MessageHub::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
  }
  ring();
  if (thread_.joinable()) thread_.join();
  // Requests that go unanswered answer, and take the mutex.
  std::vector<std::shared_ptr<MessageRequest>> unanswered;
  std::shared_ptr<MessageHandler> handler;
  const std::lock_guard lock(mutex_);
  unanswered.swap(ready_);
  handler.swap(handler_);
  while (!peers_.empty())
    end(peers_.begin()->first, Error(Code::kCancelled, "messages: the port is closed"));
  departed_.clear();
}

void MessageHub::ring() const {
  const uint64_t one = 1;
  static_cast<void>(!::write(bell_.get(), &one, sizeof one));
}

// --- the thread ----------------------------------------------------------------------------------

void MessageHub::run() {
  while (true) {
    work_once();
    tell_handler();
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
  }
}

void MessageHub::work_once() {
  const int patience = [&] {
    const std::lock_guard lock(mutex_);
    return again_.empty() ? kLookMs : 0;
  }();
  const auto events = poller_.wait(patience);
  const std::lock_guard lock(mutex_);
  for (const epoll_event& event : events) handle(event);
  for (const uint64_t link : std::exchange(again_, {}))
    work(link, [](Link& one) { one.receive(); });
  end_late_strangers();
  if (deaf_ && Clock::now() >= *deaf_) {
    deaf_.reset();
    poller_.add(listener_.get(), kListener);
    poller_.add(local_.socket.get(), kLocalListener);
  }
}

void MessageHub::handle(const epoll_event& event) {
  if (event.data.u64 == kBell) {
    uint64_t rings = 0;
    static_cast<void>(!::read(bell_.get(), &rings, sizeof rings));
    return;
  }
  if (event.data.u64 == kListener) return accept_all(listener_);
  if (event.data.u64 == kLocalListener) return accept_all(local_.socket);
  work(event.data.u64, [&](Link& link) {
    if (event.events & EPOLLOUT) link.flush();
    if (!link.is_paused() && event.events & ~uint32_t{EPOLLOUT}) link.receive();
    if (link.is_paused() && event.events & (EPOLLHUP | EPOLLERR))
      throw Unavailable("{} is gone: it closed the connection", link.name());
  });
}

/// Without the mutex, since the handler may answer at once.
void MessageHub::tell_handler() {
  std::vector<std::shared_ptr<MessageRequest>> ready;
  std::vector<Departed> departed;
  {
    const std::lock_guard lock(mutex_);
    ready.swap(ready_);
    departed.swap(departed_);
  }
  for (const std::shared_ptr<MessageRequest>& request : ready) {
    try {
      handler_->handle(request);
    } catch (const Error& error) {
      request->fail(error);
    } catch (const std::exception& error) {
      request->fail(Internal("{}: {}", options_.name, error.what()));
    }
  }
  for (const Departed& one : departed)
    if (handler_) handler_->left(*one.handle, one.why);
}

// --- connections ---------------------------------------------------------------------------------

void MessageHub::accept_all(const FileDescriptor& listener) {
  const bool local = &listener != &listener_;
  while (true) {
    FileDescriptor socket(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) return;
      deaf_ = Clock::now() + kDeaf;  // it would be reported again and again
      poller_.remove(listener_.get());
      poller_.remove(local_.socket.get());
      return;
    }
    if (strangers_.size() >= kMaxStrangers || peers_.size() >= options_.max_peers) continue;
    try {
      if (!local) tune(socket.get());
      add_peer(local ? make_shared_connection(std::move(socket), Side::kListener)
                     : options_.connections->make(std::move(socket), Side::kListener),
               "a stranger");
    } catch (const Error&) {  // no room for one more: it is turned away
    }
  }
}

MessageHub::Peer& MessageHub::add_peer(std::unique_ptr<Connection> connection, std::string name) {
  const uint64_t id = next_link_++;
  auto peer = std::make_unique<Peer>();
  Link::Frames& frames = *this;
  peer->link = std::make_shared<Link>(id, std::move(name), std::move(connection), frames, poller_);
  options_.secret.copy(peer->own.secret, sizeof peer->own.secret);
  options_.name.copy(peer->own.name, sizeof peer->own.name);
  local_.name.copy(peer->own.local, sizeof peer->own.local);
  strangers_.insert(id);
  return *(peers_[id] = std::move(peer));
}

MessageHub::Peer* MessageHub::find(uint64_t link) {
  const auto it = peers_.find(link);
  return it == peers_.end() ? nullptr : it->second.get();
}

/// The connection goes, and with it all that was under way on it.
void MessageHub::end(uint64_t id, const Error& why) {
  const auto it = peers_.find(id);
  if (it == peers_.end()) return;
  const std::unique_ptr<Peer> peer = std::move(it->second);
  peers_.erase(it);
  strangers_.erase(id);
  again_.erase(id);
  peer->link->leave();
  if (peer->outcome) peer->outcome->error = why;
  greeted_.notify_all();
  while (!peer->calls.empty()) end_call(*peer, peer->calls.begin()->first, why);
  if (peer->handle) {
    departed_.push_back({peer->handle, why});
    ring();
  }
}

void MessageHub::end_late_strangers() {
  const auto now = Clock::now();
  for (auto it = strangers_.begin(); it != strangers_.end();) {
    const uint64_t id = *it++;
    if (now - peers_.at(id)->since > kStrangerPatience)
      end(id, DeadlineExceeded("messages: {} has not said who it is", peers_.at(id)->link->name()));
  }
}

std::shared_ptr<MessagePeer> MessageHub::connect(const std::string& address,
                                                 std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos)
    throw InvalidArgument("messages: got the address \"{}\"; want host:port", address);
  const AddressList addresses(address.substr(0, colon), address.substr(colon + 1), false);
  std::string reason = addresses.reason;
  FileDescriptor socket;
  for (const addrinfo* at = addresses.list.get(); at; at = at->ai_next) {
    int failed = begin_connect(*at, socket);
    while (failed == EINPROGRESS) {
      pollfd writable{socket.get(), POLLOUT, 0};
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (left <= 0) throw DeadlineExceeded("messages: no answer from {}", address);
      if (poll(&writable, 1, static_cast<int>(left)) == 1) failed = end_connect(socket.get());
    }
    if (failed == 0) break;
    reason = system_reason(failed);
    socket = {};
  }
  if (!socket) throw Unavailable("messages: {}: {}", address, reason);
  tune(socket.get());

  std::unique_lock lock(mutex_);
  Peer& peer = add_peer(options_.connections->make(std::move(socket), Side::kCaller), address);
  peer.own.asks = shares_memory() ? 1 : 0;
  return introduce(peer, deadline, lock);
}

/// Says hello and hears who is there. Where that is a process of this host, the connection may be
/// left for one through shared memory.
std::shared_ptr<MessagePeer> MessageHub::introduce(Peer& peer, Clock::time_point deadline,
                                                   std::unique_lock<std::mutex>& lock) {
  const uint64_t id = peer.link->id();
  const std::string address = peer.link->name();
  const auto outcome = peer.outcome = std::make_shared<Outcome>();
  if (stopped_) end(id, Error(Code::kCancelled, "messages: the port is closed"));
  work(id, [&](Link&) { greet(peer); });
  const auto wait = [&](const auto& heard) {
    if (!greeted_.wait_until(lock, deadline, [&] { return heard() || outcome->error; }))
      end(id, DeadlineExceeded("messages: {} has not said who it is in time", address));
    if (outcome->error) throw Error(outcome->error->within("messages"));
  };
  wait([&] { return outcome->peer || outcome->local; });
  if (outcome->peer) return outcome->peer;
  if (FileDescriptor local = connect_locally(*outcome->local)) {
    end(id, gone(address));
    return introduce(add_peer(make_shared_connection(std::move(local), Side::kCaller), address),
                     deadline, lock);
  }
  work(id, [&](Link&) {
    peer.own.asks = 0;
    greet(peer);
  });
  wait([&] { return outcome->peer != nullptr; });
  return outcome->peer;
}

void MessageHub::close(const MessagePeer& peer) {
  const std::lock_guard lock(mutex_);
  end(peer.link(), gone(peer.name()));
}

void MessageHub::greet(Peer& peer) {
  peer.link->send({.kind = FrameKind::kHello, .bytes = sizeof(Hello)},
                  reinterpret_cast<const char*>(&peer.own));
  peer.link->flush();
}

/// The peer's hello has come.
void MessageHub::welcome(Peer& peer) {
  if (std::memcmp(peer.theirs.secret, peer.own.secret, sizeof peer.own.secret) != 0) {
    const Error refusal(
        Code::kPermissionDenied,
        fmt::format("{} has another secret than {}", name_in(peer.theirs.name), options_.name));
    peer.farewell = refusal.what();
    peer.link->send_last({.kind = FrameKind::kAbort,
                          .part = static_cast<uint32_t>(refusal.code()),
                          .bytes = static_cast<uint32_t>(peer.farewell.size())},
                         peer.farewell.data(), kLastWords);
    peer.link->finish();
    throw Error(refusal);
  }
  const std::string local(peer.theirs.local, strnlen(peer.theirs.local, sizeof Hello::local));
  if (peer.theirs.asks != 0 && !local_.name.empty()) return greet(peer);
  if (peer.own.asks != 0 && !local.empty()) {
    peer.outcome->local = local;
    greeted_.notify_all();
    return;
  }
  const uint64_t id = peer.link->id();
  strangers_.erase(id);
  peer.handle = std::make_shared<MessagePeer>(shared_from_this(), id, name_in(peer.theirs.name));
  if (peer.outcome) {
    peer.outcome->peer = peer.handle;
    greeted_.notify_all();
  } else {
    greet(peer);
  }
}

}  // namespace cohort::distribute
