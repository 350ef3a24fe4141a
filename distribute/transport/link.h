#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/distribute/transport/connection.h"
#include "cohort/distribute/transport/frame.h"
#include "cohort/distribute/transport/poller.h"

namespace cohort::distribute {

/// One end of a connection on which frames travel: those that wait to be sent, the one that is half
/// sent, the one that is half received. No call waits, except where it says so. One thread at a
/// time uses it.
class Link {
 public:
  /// What becomes of the frames; called by flush(), receive() and drain().
  class Frames {
   public:
    virtual ~Frames() = default;
    /// The header of a frame has come; magic, version and size have been checked. Where its payload
    /// goes (null for none), or nothing: the frame waits, and with it all that follow, until
    /// receive() is called again. Throws for one that has no place.
    virtual std::optional<char*> place_of(Link& link, const FrameHeader& frame) = 0;
    /// The payload is there.
    virtual void received(Link& link, const FrameHeader& frame) = 0;
    /// One has left; its memory is free again.
    virtual void sent(Link& link, const FrameHeader& frame) = 0;
  };

  /// `id`: the link's number, in the poller too. `name`: of the peer, for errors.
  Link(uint64_t id, std::string name, std::unique_ptr<Connection> connection, Frames& frames,
       Poller& poller);

  uint64_t id() const { return id_; }
  const std::string& name() const { return name_; }

  /// Queues a frame; `data` stays as it is until sent().
  void send(const FrameHeader& frame, const char* data);
  /// Sends what the connection takes. Throws "<name> is gone: …", or what the peer has aborted
  /// with.
  void flush();
  /// Reads what is there, up to a bound that lets other links have their turn. Throws "<name> is
  /// gone: …", DataLoss for bytes that are no frame, and what the callbacks throw.
  void receive();
  /// The peer has said that nothing follows.
  void leave();
  /// The memory of what is being received goes away: if that is a frame of this kind and call, the
  /// rest of it is dropped, and received() is not told.
  void drop(FrameKind kind, uint32_t call);

  /// Somebody reads it without the poller, by its descriptor; or no more.
  void drive(bool driven);
  bool is_driven() const { return driven_; }
  int descriptor() const { return connection_->descriptor(); }

  bool is_idle() const { return first_ == queue_.size(); }
  bool is_paused() const { return paused_; }
  bool has_left() const { return has_left_; }
  /// It must be worked again and again: no descriptor tells when.
  bool is_polled() const { return connection_->descriptor() < 0; }
  /// It waits for the poller to say that there is room.
  bool waits_for_room() const { return writing_ && !is_polled() && connection_->tells_room(); }
  /// There is something to read that no descriptor tells of.
  bool has_unread() const { return !paused_ && !has_left_ && connection_->has_more(); }
  /// A frame of this collective with memory of its own is queued.
  bool has_queued(uint32_t collective) const;

  /// Whether bytes have passed since the last call; whether they were of frames with data, or some
  /// of these have reached the peer's host.
  bool take_touched() { return std::exchange(touched_, false); }
  bool take_moved();
  bool has_moved() const { return moved_; }
  bool has_on_the_way() const { return on_the_way_ > 0; }
  /// Bytes that have not reached the peer's host.
  size_t num_unsent() const;

  // At the end.
  /// Sends this one past the queue, unless a frame is half sent; waits at most so long.
  void send_last(const FrameHeader& frame, const char* data, std::chrono::milliseconds patience);
  /// Nothing is sent any more.
  void finish();
  void drop_queue();
  /// Afterwards the connection touches no memory of frames that come.
  void stop_reading() { connection_->stop_reading(); }

 private:
  struct Outgoing {
    FrameHeader frame;
    const char* data;
  };

  size_t write_some(const Outgoing& out);
  bool receive_some();
  void drop_frame();
  bool open_frame();
  void close_frame();
  void drain();
  void pause(bool paused);
  void update_events();
  size_t count_on_the_way() const;

  const uint64_t id_;
  const std::string name_;
  const std::unique_ptr<Connection> connection_;
  Frames& frames_;
  Poller& poller_;
  std::vector<Outgoing> queue_;  ///< from first_ on
  size_t first_ = 0;
  size_t sent_bytes_ = 0;  ///< of the first frame, header included
  FrameHeader frame_;      ///< being received
  size_t got_bytes_ = 0;
  char* place_ = nullptr;
  std::vector<char> unwanted_;  ///< where the payload goes of a frame that is dropped
  bool dropped_ = false;
  bool paused_ = false;  ///< the header is there, but nobody is ready for the frame
  bool driven_ = false;
  bool has_left_ = false;
  bool writing_ = false;   ///< waits for room in the connection
  size_t on_the_way_ = 0;  ///< sent bytes that the peer's host did not have at the last look
  bool moved_ = false;     ///< data, since the last look
  bool touched_ = false;   ///< any bytes
};

}  // namespace cohort::distribute
