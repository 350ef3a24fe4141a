#pragma once

#include <sys/uio.h>

#include <memory>
#include <span>
#include <string>

#include "cohort/distribute/transport/file_descriptor.h"

namespace cohort::distribute {

/// Bytes to one peer and from it, in order and without loss: frames, each a header and its payload
/// (frame.h), written as these two parts and read as these two parts. No call waits. One thread at
/// a time uses it. A connection that cannot go on throws: Unavailable when the peer has closed it
/// or is gone, PermissionDenied when an end refuses who the other is, DataLoss for bytes that
/// cannot have come from it. The message does not name the peer.
class Connection {
 public:
  virtual ~Connection() = default;

  /// Takes bytes from the front of `parts`, in which there is at least one, and returns how many;
  /// their memory is free again. 0: there is no room now.
  virtual size_t try_write(std::span<const iovec> parts) = 0;
  /// The last write took nothing, but has begun: the next one must begin with the same bytes.
  virtual bool is_stuck() const { return false; }
  /// Puts what has come to `to`, at most `bytes`, and returns how much; 0: nothing is there.
  virtual size_t try_read(char* to, size_t bytes) = 0;
  /// Something may be there to read of which descriptor() says nothing.
  virtual bool has_more() const { return false; }
  /// Nothing is put into the memory of a read any more; nothing more is read.
  virtual void stop_reading() {}
  /// Polling for writing says when there is room; else the peer makes the descriptor readable then.
  virtual bool tells_room() const { return true; }
  /// To be polled for reading, and for writing when there was no room; -1: there is none, writes
  /// and reads are to be tried again and again.
  virtual int descriptor() const = 0;
  /// Who the peer has shown to be, as ConnectionMaker::identity; empty while it has not.
  virtual std::string peer_identity() const = 0;
  /// After a failure: nothing will be written any more. The peer reads what has been, then the end.
  virtual void finish() = 0;
};

enum class Side { kCaller, kListener };

/// Makes connections of sockets. Thread-safe.
class ConnectionMaker {
 public:
  virtual ~ConnectionMaker() = default;
  /// What peers will know this process by: peer_identity() of their ends.
  virtual const std::string& identity() const = 0;
  /// Of a connected socket that does not block.
  virtual std::unique_ptr<Connection> make(FileDescriptor socket, Side side) const = 0;
};

/// Bytes as they are. Everybody's identity is kPlainIdentity.
std::shared_ptr<const ConnectionMaker> make_plain_connections();
inline constexpr const char* kPlainIdentity = "plain";

}  // namespace cohort::distribute
