// How a node's part in a group ends: in order, or with a failure that the others are told.
#include <algorithm>
#include <utility>

#include "cohort/distribute/transport/network_engine.h"

namespace cohort::distribute {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPatienceAtFailure = std::chrono::milliseconds(500);

}  // namespace

/// Afterwards the links touch no memory of the collectives.
void NetworkEngine::release_memory() {
  const std::lock_guard lock(mutex_);
  for (Link* link : all_links_) link->stop_reading();
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
  for (Link* link : all_links_) link->send_last(frame, message.data(), kPatienceAtFailure);
  for (Link* link : all_links_) link->finish();
}

/// Waits for the peers' hosts, since what is under way is lost when something comes for a
/// connection that is closed.
void NetworkEngine::say_goodbye() {
  const std::lock_guard lock(mutex_);
  for (Link* link : all_links_)
    if (!link->has_left() && link->is_idle()) link->send({.kind = FrameKind::kGoodbye}, nullptr);
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
  for (Link* link : all_links_) {
    try {
      link->flush();
    } catch (const Error&) {  // it has gone, perhaps in order
      link->drop_queue();
    }
    left += link->num_unsent();
  }
  return left;
}

}  // namespace cohort::distribute
