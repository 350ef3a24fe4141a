#include "cohort/distribute/transport/network_engine.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/system.h"

namespace cohort::distribute {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kCheck = std::chrono::milliseconds(50);
constexpr uint32_t kMaxAhead = 1 << 20;  // collectives that a peer may have prepared before us
constexpr int kMostVainPolls = 2000;
constexpr uint64_t kBell = ~uint64_t{0};

}  // namespace

NetworkEngine::NetworkEngine(NetworkEngineOptions options)
    : options_(std::move(options)),
      links_(options_.links.size()),
      watch_({.node = options_.node,
              .num_nodes = static_cast<int>(options_.links.size()),
              .host = options_.host,
              .store = options_.store,
              .key = options_.key,
              .timeout = options_.timeout,
              .warn_after = options_.warn_after}) {
  Link::Frames& frames = *this;
  poller_.add(host().bell(), kBell);
  for (size_t node = 0; node < links_.size(); ++node) {
    std::unique_ptr<Connection>& connection = options_.links[node];
    if (!connection) continue;
    links_[node] =
        std::make_unique<Link>(node, options_.names[node], std::move(connection), frames, poller_);
    all_links_.push_back(links_[node].get());
    polled_ |= links_[node]->is_polled();
  }
  thread_ = std::thread([this] { run(); });
}

NetworkEngine::~NetworkEngine() {
  stop_ = true;
  host().ring();
  thread_.join();
  host().heap()->leave_to_others();
}

void NetworkEngine::keep_until(std::shared_ptr<void> memory, std::function<bool()> unneeded) {
  const std::lock_guard lock(mutex_);
  kept_.push_back({std::move(memory), std::move(unneeded)});
}

void NetworkEngine::add(std::shared_ptr<NetworkCollective> collective) {
  {
    const std::lock_guard lock(mutex_);
    live_.push_back(collectives_.size());
    collectives_.push_back(std::move(collective));
  }
  host().ring();
}

void NetworkEngine::forget(size_t collective) {
  const auto has_frames = [&](const Link* link) {
    return link->has_queued(static_cast<uint32_t>(collective));
  };
  std::unique_lock lock(mutex_);
  // Its descriptions may still be on their way out. A failed group sends nothing any more, when the
  // thread has seen the failure.
  for (int n = 0;
       host().failed() ? !released_ : std::any_of(all_links_.begin(), all_links_.end(), has_frames);
       ++n) {
    lock.unlock();
    back_off(n);
    lock.lock();
  }
  collectives_[collective] = nullptr;
  std::erase(live_, collective);
  watch_.check(collective, nullptr);
}

void NetworkEngine::send(int node, FrameHeader frame, const char* data) {
  links_[static_cast<size_t>(node)]->send(frame, data);
}

void NetworkEngine::expect_alive(int node) const {
  const Link& link = *links_[static_cast<size_t>(node)];
  if (link.has_left()) throw Unavailable("{} has left the group", link.name());
}

void NetworkEngine::run() {
  make_cpu_device(0, 1)->bind_thread();  // its additions flush denormals, as the replicas' do
  try {
    loop();
    // The failure may have come with the end: the other nodes are to hear of it, not of a good-bye.
    host().expect_whole();
    say_goodbye();
    release_memory();
    return;
  } catch (const Error& error) {
    host().fail(error);
  } catch (const std::exception& error) {
    host().fail(Internal("tcp group: {}", error.what()));
  }
  release_memory();
  tell_failure();
  watch_.report_failure();
}

void NetworkEngine::loop() {
  next_check_ = Clock::now() + kCheck;
  Clock::time_point moved{};  // after the end, while something is left
  int wait_ms = 0;
  while (!stop_ || !idle()) {
    const auto events = poller_.wait(wait_ms);
    const std::lock_guard lock(mutex_);
    host().expect_whole();
    for (const epoll_event& event : events) handle(event);
    for (Link* link : all_links_)
      if (link->has_unread() || (link->is_polled() && !link->is_paused() && !link->has_left()))
        link->receive();
    advance_all();
    wait_ms = next_wait_ms();
    const bool moves = std::any_of(all_links_.begin(), all_links_.end(),
                                   [](const Link* link) { return link->has_moved(); });
    if (stop_ && (moves || moved == Clock::time_point{})) moved = Clock::now();
    if (Clock::now() >= next_check_) {
      check_clocks();
      next_check_ = Clock::now() + kCheck;
    }
    if (stop_ && Clock::now() > moved + kPatienceAtEnd) return;
  }
}

void NetworkEngine::handle(const epoll_event& event) {
  if (event.data.u64 == kBell) {
    uint64_t rings = 0;
    static_cast<void>(!read(host().bell(), &rings, sizeof rings));
    return;
  }
  Link& link = *links_[event.data.u64];
  if (event.events & EPOLLOUT) link.flush();
  if (event.events & ~uint32_t{EPOLLOUT} && !link.is_paused() && !link.has_left()) link.receive();
}

bool NetworkEngine::idle() const {
  return std::all_of(all_links_.begin(), all_links_.end(),
                     [](const Link* link) { return link->is_idle(); });
}

/// How long the thread may sleep if nobody wakes it.
int NetworkEngine::next_wait_ms() {
  for (Link* link : all_links_)
    if (link->take_touched()) vain_polls_ = 0;
  for (const Link* link : all_links_)
    if (link->has_unread()) return 0;
  if (!polled_) return static_cast<int>(std::chrono::milliseconds(kCheck).count());
  const bool busy = !idle() || std::any_of(live_.begin(), live_.end(), [this](size_t i) {
    return collectives_[i]->pending_call() != 0;
  });
  if (!busy || ++vain_polls_ > kMostVainPolls) return 1;
  sched_yield();
  return 0;
}

void NetworkEngine::advance_all() {
  for (const size_t i : live_) collectives_[i]->advance();
  for (Link* link : all_links_)
    if (link->is_paused()) link->receive();
  for (Link* link : all_links_)
    if (!link->waits_for_room()) link->flush();
}

NetworkCollective* NetworkEngine::find(const FrameHeader& frame) const {
  return frame.collective < collectives_.size() ? collectives_[frame.collective].get() : nullptr;
}

std::optional<char*> NetworkEngine::place_of(Link& link, const FrameHeader& frame) {
  if (frame.kind == FrameKind::kAbort) {
    if (frame.bytes > kMaxMessage) throw DataLoss("{}: got a bad abort", link.name());
    abort_message_.resize(frame.bytes);
    return abort_message_.data();
  }
  if (frame.kind == FrameKind::kGoodbye || frame.kind == FrameKind::kMoving) {
    if (frame.bytes != 0) throw DataLoss("{}: got a bad good-bye or notice", link.name());
    return nullptr;
  }
  if (frame.collective >= collectives_.size() + kMaxAhead)
    throw DataLoss("{}: got a frame of collective {}", link.name(), frame.collective);
  if (frame.collective >= collectives_.size()) return std::nullopt;
  if (NetworkCollective* collective = find(frame)) {
    char* place = collective->place_of(static_cast<int>(link.id()), frame);
    return place ? std::optional(place) : std::nullopt;
  }
  if (frame.kind != FrameKind::kDescribe)
    throw DataLoss("{}: got a frame of collective {}, which is over", link.name(),
                   frame.collective);
  unwanted_.resize(kMaxFrameBytes);  // never called here, and gone before the peer described it
  return unwanted_.data();
}

void NetworkEngine::received(Link& link, const FrameHeader& frame) {
  if (frame.kind == FrameKind::kAbort)
    throw Error(static_cast<Code>(std::clamp(frame.part, 1u, 15u)), abort_message_);
  if (frame.kind == FrameKind::kGoodbye)
    link.leave();
  else if (frame.kind == FrameKind::kMoving)
    heard_ = true;
  else if (NetworkCollective* collective = find(frame))
    collective->received(static_cast<int>(link.id()), frame);
}

void NetworkEngine::sent(Link&, const FrameHeader& frame) {
  counters_.payload_bytes.fetch_add(frame.bytes, std::memory_order_relaxed);
  counters_.frames.fetch_add(1, std::memory_order_relaxed);
  if (!has_data(frame.kind)) return;
  if (NetworkCollective* collective = find(frame)) collective->sent();
}

void NetworkEngine::check_clocks() {
  std::erase_if(kept_, [](const Kept& kept) { return kept.unneeded(); });
  watch_.look(has_moved(), std::exchange(heard_, false));
  for (const size_t i : live_) watch_.check(i, collectives_[i].get());
  if (watch_.has_news()) tell_news();
}

/// Whether data was sent or received, or reached another host, since the last time.
bool NetworkEngine::has_moved() {
  bool moved = false;
  for (Link* link : all_links_) moved |= link->take_moved();
  return moved;
}

/// Says to the other nodes that data moves; those to which some of it goes see that themselves.
void NetworkEngine::tell_news() {
  for (Link* link : all_links_) {
    if (link->has_left() || link->is_paused() || link->has_on_the_way() || !link->is_idle())
      continue;
    link->send({.kind = FrameKind::kMoving}, nullptr);
    link->flush();
  }
}

}  // namespace cohort::distribute
