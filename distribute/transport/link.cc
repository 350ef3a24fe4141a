#include "cohort/distribute/transport/link.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cohort/core/error.h"

namespace cohort::distribute {
namespace {

constexpr int kReadsInTurn = 16;  // of one connection before the next has its turn

Error gone(const std::string& name, const Error& error) {
  return Error(error.code(), name + " is gone: " + error.what());
}

}  // namespace

Link::Link(uint64_t id, std::string name, std::unique_ptr<Connection> connection, Frames& frames,
           Poller& poller)
    : id_(id),
      name_(std::move(name)),
      connection_(std::move(connection)),
      frames_(frames),
      poller_(poller) {
  poller_.add(connection_->descriptor(), id_);
}

void Link::send(const FrameHeader& frame, const char* data) {
  if (is_idle()) drop_queue();
  queue_.push_back({frame, data});
}

void Link::flush() {
  while (!is_idle()) {
    // By value: what is told of it may queue more.
    const Outgoing out = queue_[first_];
    const size_t sent = write_some(out);
    if (sent == 0) {
      if (!std::exchange(writing_, true)) update_events();
      return;
    }
    sent_bytes_ += sent;
    if (has_data(out.frame.kind)) {
      moved_ = true;
      on_the_way_ = std::max<size_t>(on_the_way_, 1);
    }
    if (sent_bytes_ < sizeof out.frame + out.frame.bytes) continue;
    ++first_;
    sent_bytes_ = 0;
    frames_.sent(*this, out.frame);
  }
  if (std::exchange(writing_, false)) update_events();
}

size_t Link::write_some(const Outgoing& out) {
  std::array<iovec, 2> parts;
  try {
    const size_t sent =
        connection_->try_write(rest_of_frame(out.frame, out.data, sent_bytes_, parts));
    touched_ |= sent > 0;
    return sent;
  } catch (const Error& error) {
    drain();
    throw gone(name_, error);
  }
}

void Link::receive() {
  if (paused_) {
    if (!open_frame()) return;
    pause(false);
    if (frame_.bytes == 0) close_frame();
  }
  for (int i = 0; i < kReadsInTurn && !has_left_; ++i)
    if (!receive_some()) return;
}

/// Reads as far as the next end of a header or of a payload. False: nothing is there, or the frame
/// must wait.
bool Link::receive_some() {
  const bool in_header = got_bytes_ < sizeof frame_;
  char* to = in_header ? reinterpret_cast<char*>(&frame_) + got_bytes_
                       : place_ + (got_bytes_ - sizeof frame_);
  const size_t want = (in_header ? 0 : frame_.bytes) + sizeof frame_ - got_bytes_;
  size_t got = 0;
  try {
    got = connection_->try_read(to, want);
  } catch (const Error& error) {
    throw gone(name_, error);
  }
  if (got == 0) return false;
  touched_ = true;
  got_bytes_ += got;
  if (got_bytes_ >= sizeof frame_ && has_data(frame_.kind)) moved_ = true;
  if (in_header && got_bytes_ == sizeof frame_ && !open_frame()) {
    pause(true);
    return false;
  }
  if (got_bytes_ == sizeof frame_ + frame_.bytes) close_frame();
  return true;
}

/// The header is complete. False: nobody is ready for the frame.
bool Link::open_frame() {
  if (frame_.magic != kFrameMagic || frame_.version != kFrameVersion ||
      frame_.bytes > kMaxFrameBytes)
    throw DataLoss("{}: got bytes that are no frame", name_);
  const std::optional<char*> place = frames_.place_of(*this, frame_);
  if (place) place_ = *place;
  return place.has_value();
}

void Link::close_frame() {
  got_bytes_ = 0;
  if (!std::exchange(dropped_, false)) frames_.received(*this, frame_);
}

void Link::drop(FrameKind kind, uint32_t call) {
  if (got_bytes_ >= sizeof frame_ && !paused_ && frame_.kind == kind && frame_.call == call)
    drop_frame();
}

void Link::drop_frame() {
  unwanted_.resize(kMaxFrameBytes);
  place_ = unwanted_.data();
  dropped_ = true;
}

/// Of a peer that takes nothing any more: reads what it has still said. A frame that nobody is
/// ready for is dropped.
void Link::drain() {
  while (!has_left_) {
    if (std::exchange(paused_, false)) {
      drop_frame();
      if (frame_.bytes == 0) close_frame();
    }
    if (!receive_some() && !paused_) return;
  }
}

void Link::leave() {
  has_left_ = true;
  poller_.remove(connection_->descriptor());
}

bool Link::has_queued(uint32_t collective) const {
  return std::any_of(
      queue_.begin() + static_cast<std::ptrdiff_t>(first_), queue_.end(),
      [&](const Outgoing& out) { return out.data && out.frame.collective == collective; });
}

bool Link::take_moved() {
  bool moved = std::exchange(moved_, false);
  if (on_the_way_ == 0) return moved;
  const size_t before = std::exchange(on_the_way_, count_on_the_way());
  return moved || on_the_way_ < before;
}

size_t Link::num_unsent() const {
  size_t left = count_on_the_way();
  for (size_t i = first_; i < queue_.size(); ++i)
    left += sizeof(FrameHeader) + queue_[i].frame.bytes;
  return is_idle() ? left : left - sent_bytes_;
}

/// Bytes that this host holds for the peer. What is gone needs nothing.
size_t Link::count_on_the_way() const {
  const int descriptor = connection_->descriptor();
  pollfd state{.fd = descriptor, .events = 0, .revents = 0};
  int bytes = 0;
  if (descriptor < 0 || poll(&state, 1, 0) != 0 || ioctl(descriptor, SIOCOUTQ, &bytes) != 0)
    return 0;
  return static_cast<size_t>(bytes);
}

void Link::send_last(const FrameHeader& frame, const char* data,
                     std::chrono::milliseconds patience) {
  // A frame that is half sent cannot be ended any more: its memory may be gone.
  if (sent_bytes_ > 0 || connection_->is_stuck() || has_left_) return;
  const auto until = std::chrono::steady_clock::now() + patience;
  try {
    std::array<iovec, 2> parts;
    for (size_t sent = 0;
         sent < sizeof frame + frame.bytes && std::chrono::steady_clock::now() < until;)
      sent += connection_->try_write(rest_of_frame(frame, data, sent, parts));
  } catch (const Error&) {  // the peer is gone, then
  }
}

void Link::finish() {
  connection_->finish();
  drop_queue();
}

void Link::drop_queue() {
  queue_.clear();
  first_ = 0;
}

void Link::pause(bool paused) {
  paused_ = paused;
  update_events();
}

void Link::drive(bool driven) {
  driven_ = driven;
  if (!has_left_) update_events();
}

void Link::update_events() {
  poller_.change(connection_->descriptor(), id_, !paused_ && !driven_,
                 writing_ && connection_->tells_room());
}

}  // namespace cohort::distribute
