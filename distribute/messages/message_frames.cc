// What becomes of the frames of a message port: requests that come, replies that come, and what
// has left. Frames of one message follow each other; each says how much is still to come.
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>

#include "cohort/distribute/messages/message_hub.h"

namespace cohort::distribute {
namespace {

constexpr size_t kCost = 256;                   // of a request that is held, beside its payload
constexpr std::chrono::milliseconds kLook(50);  // whether the connection has ended meanwhile
constexpr uint64_t kEndless = uint64_t{1} << 60;

}  // namespace

char* MessageHub::scratch() {
  scratch_.resize(kMaxFrameBytes);
  return scratch_.data();
}

void MessageHub::send_all(Peer& peer, FrameHeader frame, std::span<const char> data) {
  size_t at = 0;
  do {
    frame.bytes = static_cast<uint32_t>(std::min(kMaxFrameBytes, data.size() - at));
    frame.offset = data.size() - at - frame.bytes;
    peer.link->send(frame, data.data() + at);
    at += frame.bytes;
  } while (at < data.size());
}

std::optional<char*> MessageHub::place_of(Link& link, const FrameHeader& frame) {
  Peer& peer = *find(link.id());
  if (frame.kind == FrameKind::kAbort) {
    if (frame.bytes > kMaxMessage) throw DataLoss("{}: got a bad abort", link.name());
    peer.farewell.resize(frame.bytes);
    return peer.farewell.data();
  }
  if (frame.kind == FrameKind::kHello && !peer.handle) {
    if (frame.bytes != sizeof(Hello)) throw DataLoss("{}: got a bad hello", link.name());
    return reinterpret_cast<char*>(&peer.theirs);
  }
  if (!peer.handle) throw DataLoss("{}: got a frame before its hello", link.name());
  if (frame.offset > kEndless) throw DataLoss("{}: got a message without end", link.name());
  if (frame.kind == FrameKind::kRequest) return place_of_request(peer, frame);
  if (frame.kind == FrameKind::kReply) return place_of_reply(peer, frame);
  throw DataLoss("{}: got a frame of kind {}", peer.handle->name(), static_cast<int>(frame.kind));
}

void MessageHub::received(Link& link, const FrameHeader& frame) {
  Peer& peer = *find(link.id());
  if (frame.kind == FrameKind::kAbort)
    throw Error(static_cast<Code>(std::clamp(frame.part, 1u, 15u)), peer.farewell);
  if (frame.kind == FrameKind::kHello)
    welcome(peer);
  else if (frame.kind == FrameKind::kRequest)
    finish_request(peer, frame);
  else
    finish_reply(peer, frame);
}

void MessageHub::sent(Link& link, const FrameHeader& frame) {
  if (frame.offset > 0) return;
  Peer& peer = *find(link.id());
  if (frame.kind == FrameKind::kReply) release(peer, frame.call);
  if (frame.kind != FrameKind::kRequest) return;
  if (const auto it = peer.calls.find(frame.call); it != peer.calls.end()) it->second->sent = true;
}

// --- requests that come --------------------------------------------------------------------------

std::optional<char*> MessageHub::place_of_request(Peer& peer, const FrameHeader& frame) {
  auto it = peer.incoming.find(frame.call);
  if (it == peer.incoming.end()) {
    const size_t total = frame.bytes + frame.offset;
    if (peer.held.count(frame.call) > 0)
      throw DataLoss("{}: got request {} again", peer.handle->name(), frame.call);
    if (total <= options_.max_request_bytes && peer.num_held > 0 &&
        peer.num_held + total + kCost > options_.max_held_bytes)
      return std::nullopt;
    it = peer.incoming.emplace(frame.call, take_in(peer, frame)).first;
    const size_t held = it->second.refusal ? kCost : total + kCost;
    peer.held[frame.call] = held;
    peer.num_held += held;
  }
  const Incoming& in = it->second;
  if (in.method != frame.collective || in.got + frame.bytes + frame.offset != in.total ||
      (frame.bytes == 0 && in.total > 0))
    throw DataLoss("{}: got a frame of request {} out of order", peer.handle->name(), frame.call);
  return in.refusal ? scratch() : in.memory.get() + in.got;
}

MessageHub::Incoming MessageHub::take_in(const Peer& peer, const FrameHeader& frame) {
  Incoming in{.method = frame.collective, .total = frame.bytes + frame.offset};
  try {
    if (!handler_) throw Unimplemented("{} takes no requests", options_.name);
    if (in.total > options_.max_request_bytes)
      throw InvalidArgument("{}: got a request of {} bytes; want at most {}", options_.name,
                            in.total, options_.max_request_bytes);
    in.memory = handler_->memory_for(peer.handle->name(), in.method, in.total);
  } catch (const Error& error) {
    in.refusal = error;
  } catch (const std::exception& error) {
    in.refusal = ResourceExhausted("{}: {}", options_.name, error.what());
  }
  return in;
}

void MessageHub::finish_request(Peer& peer, const FrameHeader& frame) {
  const auto it = peer.incoming.find(frame.call);
  it->second.got += frame.bytes;
  if (frame.offset > 0) return;
  const Incoming in = std::move(it->second);
  peer.incoming.erase(it);
  if (in.refusal) return queue_answer(peer, frame.call, {}, nullptr, &*in.refusal);
  ready_.push_back(std::make_shared<MessageRequest>(peer.handle, shared_from_this(), frame.call,
                                                    in.method, in.memory, in.total));
  if (std::this_thread::get_id() != thread_.get_id()) ring();  // read by who waits for a reply
}

void MessageHub::queue_answer(Peer& peer, uint32_t id, std::span<const char> data,
                              std::shared_ptr<const void> keep, const Error* error) {
  FrameHeader frame{.kind = FrameKind::kReply, .call = id};
  if (error) {
    frame.part = static_cast<uint32_t>(error->code());
    const auto text = std::make_shared<std::string>(error->what(), 0, kMaxMessage);
    data = *text;
    keep = text;
  }
  peer.held[id] += data.size();
  peer.num_held += data.size();
  peer.answers[id] = std::move(keep);
  send_all(peer, frame, data);
}

/// The answer has left.
void MessageHub::release(Peer& peer, uint32_t id) {
  peer.num_held -= peer.held[id];
  peer.held.erase(id);
  peer.answers.erase(id);
  if (!peer.link->is_paused()) return;
  again_.insert(peer.link->id());
  ring();
}

void MessageHub::answer(const MessagePeer& to, uint32_t id, std::span<const char> data,
                        std::shared_ptr<const void> keep, const Error* error) {
  const std::lock_guard lock(mutex_);
  Peer* peer = find(to.link());
  if (!peer) return;
  queue_answer(*peer, id, data, std::move(keep), error);
  work(to.link(), [](Link& link) { link.flush(); });
}

// --- calls ---------------------------------------------------------------------------------------

std::shared_ptr<PendingCall> MessageHub::call(const MessagePeer& to, uint32_t method,
                                              std::span<const char> request,
                                              std::span<char> reply) {
  const std::lock_guard lock(mutex_);
  Peer* peer = find(to.link());
  if (!peer) throw Unavailable("messages: {} is gone", to.name());
  const auto call = std::make_shared<PendingCall>();
  call->link = to.link();
  call->id = peer->next_call++;
  call->reply = reply;
  peer->calls[call->id] = call;
  send_all(*peer, {.kind = FrameKind::kRequest, .collective = method, .call = call->id}, request);
  work(call->link, [](Link& link) {
    if (!link.waits_for_room()) link.flush();
  });
  return call;
}

char* MessageHub::place_of_reply(Peer& peer, const FrameHeader& frame) {
  const auto it = peer.calls.find(frame.call);
  if (it == peer.calls.end()) return scratch();  // it has been given up
  PendingCall& call = *it->second;
  if (!call.sent) throw DataLoss("{}: got a reply to what it cannot know", peer.handle->name());
  if (frame.part != 0) {
    if (frame.bytes > kMaxMessage || frame.offset > 0)
      throw DataLoss("{}: got a bad failure", peer.handle->name());
    call.message.resize(frame.bytes);
    return call.message.data();
  }
  if (call.got == 0) call.total = frame.bytes + frame.offset;
  if (call.got + frame.bytes + frame.offset != call.total || (frame.bytes == 0 && call.total > 0))
    throw DataLoss("{}: got a frame of reply {} out of order", peer.handle->name(), frame.call);
  return call.total > call.reply.size() ? scratch() : call.reply.data() + call.got;
}

void MessageHub::finish_reply(Peer& peer, const FrameHeader& frame) {
  const auto it = peer.calls.find(frame.call);
  if (it == peer.calls.end()) return;
  PendingCall& call = *it->second;
  if (frame.part != 0)
    return end_call(peer, frame.call,
                    Error(static_cast<Code>(std::clamp(frame.part, 1u, 15u)), call.message));
  call.got += frame.bytes;
  if (frame.offset > 0) return;
  std::optional<Error> error;
  if (call.total > call.reply.size())
    error = InvalidArgument("messages: got a reply of {} bytes of {}; want at most {}", call.total,
                            peer.handle->name(), call.reply.size());
  end_call(peer, frame.call, std::move(error));
}

void MessageHub::end_call(Peer& peer, uint32_t id, std::optional<Error> error) {
  const auto it = peer.calls.find(id);
  const std::shared_ptr<PendingCall> call = it->second;
  peer.calls.erase(it);
  call->error = std::move(error);
  call->done = true;
  call->arrived.notify_all();
}

size_t MessageHub::wait(PendingCall& call, std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  std::unique_lock lock(mutex_);
  drive(call, deadline, lock);
  if (!call.arrived.wait_until(lock, deadline, [&] { return call.done.load(); }))
    give_up(call, DeadlineExceeded("messages: no reply in {} ms", timeout.count()));
  if (call.error) throw Error(*call.error);
  return call.got;
}

/// Who waits reads the connection himself, if nobody else does: so no other thread need wake first
/// to tell him. Returns when the call is done, or somebody else must go on.
void MessageHub::drive(const PendingCall& call, Clock::time_point deadline,
                       std::unique_lock<std::mutex>& lock) {
  const Peer* peer = find(call.link);
  if (call.done || !peer || peer->link->is_driven()) return;
  const std::shared_ptr<Link> link = peer->link;  // which keeps its descriptor
  link->drive(true);
  while (!call.done && !link->is_paused() && Clock::now() < deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd readable{link->descriptor(), POLLIN, 0};
    lock.unlock();
    const int came = poll(&readable, 1, static_cast<int>(std::min(left, kLook).count()));
    lock.lock();
    if (came == 1) work(call.link, [](Link& one) { one.receive(); });
  }
  link->drive(false);
}

void MessageHub::give_up(PendingCall& call) {
  const std::lock_guard lock(mutex_);
  give_up(call, Error(Code::kCancelled, "messages: the call was given up"));
}

void MessageHub::give_up(PendingCall& call, const Error& why) {
  if (call.done) return;
  Peer& peer = *find(call.link);
  if (!call.sent)
    return end(call.link, DeadlineExceeded("messages: {} has not taken a request in time",
                                           peer.handle->name()));
  peer.link->drop(FrameKind::kReply, call.id);
  end_call(peer, call.id, why);
}

}  // namespace cohort::distribute
