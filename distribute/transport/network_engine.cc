#include "cohort/distribute/transport/network_engine.h"

#include <fmt/format.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/system.h"

namespace cohort::distribute {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kCheck = std::chrono::milliseconds(50);
constexpr int kReadsInTurn = 16;         // of one connection before the next has its turn
constexpr uint32_t kMaxAhead = 1 << 20;  // collectives that a peer may have prepared before us
constexpr int kMostVainPolls = 2000;
constexpr uint64_t kBell = ~uint64_t{0};

}  // namespace

NetworkEngine::NetworkEngine(NetworkEngineOptions options)
    : options_(std::move(options)),
      watch_({.node = options_.node,
              .num_nodes = static_cast<int>(options_.links.size()),
              .host = options_.host,
              .store = options_.store,
              .key = options_.key,
              .timeout = options_.timeout,
              .warn_after = options_.warn_after}),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw system_error("tcp group: epoll_create", errno, links_.size());
  epoll_event bell{.events = EPOLLIN, .data = {.u64 = kBell}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, host().bell(), &bell);
  links_.resize(options_.links.size());
  for (size_t node = 0; node < links_.size(); ++node) {
    links_[node].connection = std::move(options_.links[node]);
    if (!links_[node].connection) continue;
    const int descriptor = links_[node].connection->descriptor();
    if (descriptor < 0) {
      polled_ = true;
      continue;
    }
    epoll_event event{.events = EPOLLIN, .data = {.u64 = node}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event);
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
  const auto has_frames = [&](const Link& link) {
    return std::any_of(
        link.queue.begin() + static_cast<std::ptrdiff_t>(link.first), link.queue.end(),
        [&](const Outgoing& out) { return out.data && out.frame.collective == collective; });
  };
  std::unique_lock lock(mutex_);
  // Its descriptions may still be on their way out. A failed group sends nothing any more, when the
  // thread has seen the failure.
  for (int n = 0;
       host().failed() ? !released_ : std::any_of(links_.begin(), links_.end(), has_frames); ++n) {
    lock.unlock();
    back_off(n);
    lock.lock();
  }
  collectives_[collective] = nullptr;
  std::erase(live_, collective);
  watch_.check(collective, nullptr);
}

void NetworkEngine::send(int node, FrameHeader frame, const char* data) {
  Link& link = links_[static_cast<size_t>(node)];
  if (link.first == link.queue.size()) {
    link.queue.clear();
    link.first = 0;
  }
  link.queue.push_back({frame, data});
}

void NetworkEngine::expect_alive(int node) const {
  if (links_[static_cast<size_t>(node)].has_left)
    throw Unavailable("{} has left the group", link_name(node));
}

std::string NetworkEngine::link_name(int node) const {
  return options_.names[static_cast<size_t>(node)];
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
  std::array<epoll_event, 64> events;
  next_check_ = Clock::now() + kCheck;
  Clock::time_point moved{};  // after the end, while something is left
  int wait_ms = 0;
  while (!stop_ || !idle()) {
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(), wait_ms);
    const std::lock_guard lock(mutex_);
    host().expect_whole();
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.u64 == kBell) {
        uint64_t rings = 0;
        static_cast<void>(!read(host().bell(), &rings, sizeof rings));
      } else {
        handle_link(static_cast<int>(event.data.u64), event.events);
      }
    }
    for (int node = 0; node < num_nodes(); ++node) {
      const Link& link = links_[static_cast<size_t>(node)];
      if (link.connection && (link.connection->has_more() || link.connection->descriptor() < 0))
        handle_link(node, EPOLLIN);
    }
    advance_all();
    wait_ms = next_wait_ms();
    if (stop_ && (moved_ || moved == Clock::time_point{})) moved = Clock::now();
    if (Clock::now() >= next_check_) {
      check_clocks();
      next_check_ = Clock::now() + kCheck;
    }
    if (stop_ && Clock::now() > moved + kPatienceAtEnd) return;
  }
}

bool NetworkEngine::idle() const {
  return std::all_of(links_.begin(), links_.end(),
                     [](const Link& link) { return link.first == link.queue.size(); });
}

/// Whether there is something to read that no descriptor tells of.
bool NetworkEngine::has_unread() const {
  return std::any_of(links_.begin(), links_.end(), [](const Link& link) {
    return link.connection && !link.paused && !link.has_left && link.connection->has_more();
  });
}

/// How long the thread may sleep if nobody wakes it.
int NetworkEngine::next_wait_ms() {
  if (has_unread()) return 0;
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
  for (int node = 0; node < num_nodes(); ++node)
    if (links_[static_cast<size_t>(node)].paused) receive(node);
  for (int node = 0; node < num_nodes(); ++node)
    if (const Link& link = links_[static_cast<size_t>(node)];
        link.connection && (!link.writing || link.connection->descriptor() < 0))
      flush(node);
}

void NetworkEngine::handle_link(int node, uint32_t events) {
  Link& link = links_[static_cast<size_t>(node)];
  if (events & EPOLLOUT) flush(node);
  if (events & ~static_cast<uint32_t>(EPOLLOUT) && !link.paused && !link.has_left) receive(node);
}

void NetworkEngine::update_events(int node) {
  const Link& link = links_[static_cast<size_t>(node)];
  if (link.connection->descriptor() < 0) return;
  uint32_t events = 0;
  if (!link.paused) events |= EPOLLIN;
  if (link.writing) events |= EPOLLOUT;
  epoll_event event{.events = events, .data = {.u64 = static_cast<uint64_t>(node)}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, link.connection->descriptor(), &event);
}

size_t NetworkEngine::write_some(int node, std::span<const iovec> parts) {
  try {
    const size_t sent = links_[static_cast<size_t>(node)].connection->try_write(parts);
    if (sent > 0) vain_polls_ = 0;
    return sent;
  } catch (const Error& error) {
    hear_last_words(node);
    throw Error(error.code(), fmt::format("{} is gone: {}", link_name(node), error.what()));
  }
}

void NetworkEngine::flush(int node) {
  Link& link = links_[static_cast<size_t>(node)];
  while (link.first < link.queue.size()) {
    const Outgoing& out = link.queue[link.first];
    std::array<iovec, 2> parts;
    const size_t sent =
        write_some(node, rest_of_frame(out.frame, out.data, link.sent_bytes, parts));
    if (sent == 0) {
      if (!std::exchange(link.writing, true)) update_events(node);
      return;
    }
    link.sent_bytes += sent;
    if (has_data(out.frame.kind)) {
      moved_ = true;
      link.on_the_way = std::max<size_t>(link.on_the_way, 1);
    }
    if (link.sent_bytes < sizeof out.frame + out.frame.bytes) continue;
    counters_.payload_bytes.fetch_add(out.frame.bytes, std::memory_order_relaxed);
    counters_.frames.fetch_add(1, std::memory_order_relaxed);
    const uint32_t collective = out.frame.collective;
    const bool counted = has_data(out.frame.kind);
    ++link.first;
    link.sent_bytes = 0;
    if (counted && collective < collectives_.size() && collectives_[collective])
      collectives_[collective]->sent();
  }
  if (std::exchange(link.writing, false)) update_events(node);
}

size_t NetworkEngine::read_some(int node, char* to, size_t bytes) {
  try {
    const size_t got = links_[static_cast<size_t>(node)].connection->try_read(to, bytes);
    if (got > 0) vain_polls_ = 0;
    return got;
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{} is gone: {}", link_name(node), error.what()));
  }
}

void NetworkEngine::receive(int node) {
  Link& link = links_[static_cast<size_t>(node)];
  if (link.paused) {
    if (!open_frame(node)) return;
    link.paused = false;
    update_events(node);
    if (link.frame.bytes == 0) close_frame(node);
  }
  for (int i = 0; i < kReadsInTurn && !link.has_left; ++i)
    if (!receive_some(node)) return;
}

/// Reads as far as the next end of a header or of a payload. False: nothing is there, or the frame
/// must wait.
bool NetworkEngine::receive_some(int node) {
  Link& link = links_[static_cast<size_t>(node)];
  const bool in_header = link.got_bytes < sizeof link.frame;
  char* to = in_header ? reinterpret_cast<char*>(&link.frame) + link.got_bytes
                       : link.place + (link.got_bytes - sizeof link.frame);
  const size_t want = in_header ? sizeof link.frame - link.got_bytes
                                : sizeof link.frame + link.frame.bytes - link.got_bytes;
  const size_t got = read_some(node, to, want);
  if (got == 0) return false;
  link.got_bytes += got;
  if (link.got_bytes >= sizeof link.frame && has_data(link.frame.kind)) moved_ = true;
  if (in_header && link.got_bytes == sizeof link.frame && !open_frame(node)) {
    link.paused = true;
    update_events(node);
    return false;
  }
  if (link.got_bytes == sizeof link.frame + link.frame.bytes) close_frame(node);
  return true;
}

NetworkCollective* NetworkEngine::find(const FrameHeader& frame) {
  return frame.collective < collectives_.size() ? collectives_[frame.collective].get() : nullptr;
}

/// The header is complete. False: this node is not ready for the frame.
bool NetworkEngine::open_frame(int node) {
  Link& link = links_[static_cast<size_t>(node)];
  const FrameHeader& frame = link.frame;
  if (frame.magic != kFrameMagic || frame.version != kFrameVersion || frame.bytes > kMaxFrameBytes)
    throw DataLoss("{}: got bytes that are no frame", link_name(node));
  if (frame.kind == FrameKind::kAbort) {
    if (frame.bytes > kMaxMessage) throw DataLoss("{}: got a bad abort", link_name(node));
    abort_message_.resize(frame.bytes);
    link.place = abort_message_.data();
    return true;
  }
  if (frame.kind == FrameKind::kGoodbye || frame.kind == FrameKind::kMoving) {
    if (frame.bytes != 0) throw DataLoss("{}: got a bad good-bye or notice", link_name(node));
    return true;
  }
  if (frame.collective >= collectives_.size() + kMaxAhead)
    throw DataLoss("{}: got a frame of collective {}", link_name(node), frame.collective);
  NetworkCollective* collective = find(frame);
  if (!collective && frame.collective < collectives_.size() && frame.kind == FrameKind::kDescribe) {
    unwanted_.resize(kMaxFrameBytes);  // never called here, and gone before the peer described it
    link.place = unwanted_.data();
    return true;
  }
  if (!collective && frame.collective < collectives_.size())
    throw DataLoss("{}: got a frame of collective {}, which is over", link_name(node),
                   frame.collective);
  if (!collective) return false;
  link.place = collective->place_of(node, frame);
  return link.place != nullptr;
}

void NetworkEngine::close_frame(int node) {
  Link& link = links_[static_cast<size_t>(node)];
  link.got_bytes = 0;
  if (link.frame.kind == FrameKind::kAbort)
    throw Error(static_cast<Code>(std::clamp(link.frame.part, 1u, 15u)), abort_message_);
  if (link.frame.kind == FrameKind::kGoodbye) {
    link.has_left = true;
    if (link.connection->descriptor() >= 0)
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, link.connection->descriptor(), nullptr);
    return;
  }
  if (link.frame.kind == FrameKind::kMoving) {
    heard_ = true;
    return;
  }
  if (NetworkCollective* collective = find(link.frame)) collective->received(node, link.frame);
}

void NetworkEngine::check_clocks() {
  std::erase_if(kept_, [](const Kept& kept) { return kept.unneeded(); });
  watch_.look(has_moved(), std::exchange(heard_, false));
  for (const size_t i : live_) watch_.check(i, collectives_[i].get());
  if (watch_.has_news()) tell_news();
}

/// Bytes that this host holds for the peer. What is gone needs nothing.
size_t NetworkEngine::on_the_way(const Link& link) const {
  const int descriptor = link.connection->descriptor();
  pollfd state{.fd = descriptor, .events = 0, .revents = 0};
  int bytes = 0;
  if (descriptor < 0 || poll(&state, 1, 0) != 0 || ioctl(descriptor, SIOCOUTQ, &bytes) != 0)
    return 0;
  return static_cast<size_t>(bytes);
}

/// Whether data was sent or received, or reached another host, since the last time.
bool NetworkEngine::has_moved() {
  bool moved = std::exchange(moved_, false);
  for (Link& link : links_) {
    if (link.on_the_way == 0) continue;
    const size_t before = std::exchange(link.on_the_way, on_the_way(link));
    moved |= link.on_the_way < before;
  }
  return moved;
}

/// Says to the other nodes that data moves; those to which some of it goes see that themselves.
void NetworkEngine::tell_news() {
  for (int node = 0; node < num_nodes(); ++node) {
    const Link& link = links_[static_cast<size_t>(node)];
    if (!link.connection || link.has_left || link.paused || link.on_the_way > 0 ||
        link.first < link.queue.size())
      continue;
    send(node, {.kind = FrameKind::kMoving}, nullptr);
    flush(node);
  }
}

}  // namespace cohort::distribute
