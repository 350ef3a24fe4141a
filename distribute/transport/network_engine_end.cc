// How a node's part in a group ends: in order, or with a failure that the others are told.
#include <algorithm>
#include <utility>

#include "cohort/distribute/transport/network_engine.h"

namespace cohort::distribute {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPatienceAtFailure = std::chrono::milliseconds(500);

}  // namespace

/// Afterwards the connections touch no memory of the collectives.
void NetworkEngine::release_memory() {
  const std::lock_guard lock(mutex_);
  for (const Link& link : links_)
    if (link.connection) link.connection->stop_reading();
  released_ = true;
}

void NetworkEngine::tell_failure() {
  const std::lock_guard lock(mutex_);
  std::string message;
  FrameHeader frame{.kind = FrameKind::kAbort};
  try {
    host().throw_failure();
  } catch (const Error& error) {
    message = std::string(error.what()).substr(0, kMaxMessage);
    frame.part = static_cast<uint32_t>(error.code());
  }
  frame.bytes = static_cast<uint32_t>(message.size());
  for (Link& link : links_) {
    // A frame that is half sent cannot be ended any more: its memory may be gone.
    if (!link.connection || link.sent_bytes > 0 || link.connection->is_stuck() || link.has_left)
      continue;
    send_last(*link.connection, frame, message);
  }
  for (Link& link : links_) {
    if (!link.connection) continue;
    link.connection->finish();
    link.queue.clear();
    link.first = 0;
  }
}

/// Of a peer that takes nothing any more: throws what it aborted with, if that has come here. What
/// came before it is dropped where this node is not ready for it.
void NetworkEngine::hear_last_words(int node) {
  Link& link = links_[static_cast<size_t>(node)];
  while (!link.has_left) {
    if (std::exchange(link.paused, false)) {
      unwanted_.resize(kMaxFrameBytes);
      link.place = unwanted_.data();
      link.frame.collective = UINT32_MAX;
      if (link.frame.bytes == 0) close_frame(node);
    }
    if (!receive_some(node) && !link.paused) return;
  }
}

/// The peer may be gone: then nothing is sent.
void NetworkEngine::send_last(Connection& connection, const FrameHeader& frame,
                              const std::string& message) {
  const auto until = Clock::now() + kPatienceAtFailure;
  try {
    std::array<iovec, 2> parts;
    for (size_t sent = 0; sent < sizeof frame + message.size() && Clock::now() < until;)
      sent += connection.try_write(rest_of_frame(frame, message.data(), sent, parts));
  } catch (const Error&) {
  }
}

/// Waits for the peers' hosts, since what is under way is lost when something comes for a
/// connection that is closed.
void NetworkEngine::say_goodbye() {
  const std::lock_guard lock(mutex_);
  for (int node = 0; node < num_nodes(); ++node)
    if (const Link& link = links_[static_cast<size_t>(node)];
        link.connection && !link.has_left && link.first == link.queue.size())
      send(node, {.kind = FrameKind::kGoodbye}, nullptr);
  size_t left = SIZE_MAX;
  auto moved = Clock::now();
  for (int n = 0; left > 0 && !host().failed() && Clock::now() < moved + kPatienceAtEnd; ++n) {
    const size_t before = std::exchange(left, send_rest());
    if (left < before) moved = Clock::now();
    if (left > 0) back_off(n);
  }
}

/// Returns how many bytes have not reached the peers' hosts.
size_t NetworkEngine::send_rest() {
  size_t left = 0;
  for (int node = 0; node < num_nodes(); ++node) {
    Link& link = links_[static_cast<size_t>(node)];
    if (!link.connection) continue;
    try {
      flush(node);
    } catch (const Error&) {  // it has gone, perhaps in order
      link.queue.clear();
      link.first = 0;
    }
    for (size_t i = link.first; i < link.queue.size(); ++i)
      left += sizeof(FrameHeader) + link.queue[i].frame.bytes;
    if (link.first < link.queue.size()) left -= link.sent_bytes;
    left += on_the_way(link);
  }
  return left;
}

}  // namespace cohort::distribute
