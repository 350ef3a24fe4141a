#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "cohort/core/error.h"
#include "cohort/distribute/elementwise.h"
#include "cohort/distribute/transport/connection.h"
#include "tests/support/folder_store.h"

/// A TCP connection between two programs that sends and receives at once, as fast as it goes.
class RawLink {
 public:
  /// One end listens at `address` and leaves the port under `key`, the other connects. The bytes
  /// pass through a connection that `maker` makes.
  RawLink(bool listens, const std::string& address, cohort::test::FolderStore& store,
          const std::string& key,
          const cohort::distribute::ConnectionMaker& maker =
              *cohort::distribute::make_plain_connections()) {
    using cohort::distribute::FileDescriptor, cohort::distribute::Side;
    FileDescriptor fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    inet_pton(AF_INET, address.c_str(), &at.sin_addr);
    if (listens) {
      check(bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0, "bind");
      check(listen(fd.get(), 1) == 0, "listen");
      socklen_t bytes = sizeof at;
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &bytes);
      store.insert(key, std::to_string(ntohs(at.sin_port)));
      fd = FileDescriptor(accept(fd.get(), nullptr, nullptr));
    } else {
      at.sin_port =
          htons(static_cast<uint16_t>(std::stoi(store.get(key, std::chrono::seconds(20)))));
      check(connect(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0, "connect");
    }
    check(static_cast<bool>(fd), "accept");
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    check(fcntl(fd.get(), F_SETFL, O_NONBLOCK) == 0, "fcntl");
    fd_ = fd.get();
    connection_ = maker.make(std::move(fd), listens ? Side::kListener : Side::kCaller);
  }

  /// Of a connected socket that does not block.
  explicit RawLink(cohort::distribute::FileDescriptor socket)
      : fd_(socket.get()),
        connection_(cohort::distribute::make_plain_connections()->make(
            std::move(socket), cohort::distribute::Side::kCaller)) {}

  /// What comes goes to memory as large as all of it, or all to the same piece, and is added or
  /// not.
  struct Into {
    char* memory;
    float* sums = nullptr;  ///< where what has come is added, while it is in the caches
    bool whole = true;      ///< memory for all of it, rather than for a piece
  };

  /// One thread that sends and receives in turn, `piece` bytes at most in a call.
  void exchange(const char* out, Into in, size_t bytes, size_t piece) {
    size_t sent = 0, got = 0, added = 0;
    while (sent < bytes || got < bytes) {
      bool moved = false;
      if (got < bytes) {
        const size_t n =
            connection_->try_read(in.memory + (in.whole ? got : 0), std::min(piece, bytes - got));
        got += n;
        moved |= n > 0;
        if (n > 0) added = add(in, added, got);
      }
      if (sent < bytes) {
        const iovec part{const_cast<char*>(out) + sent, std::min(piece, bytes - sent)};
        const size_t n = connection_->try_write({&part, 1});
        sent += n;
        moved |= n > 0;
      }
      if (moved || connection_->has_more()) continue;
      wait_until(static_cast<short>((got < bytes ? POLLIN : 0) | (sent < bytes ? POLLOUT : 0)));
    }
  }

  /// One thread that sends and one that receives; only of a plain connection.
  void exchange_with_threads(const char* out, Into in, size_t bytes, size_t piece) {
    std::thread sender([&] {
      for (size_t sent = 0; sent < bytes; sent += std::min(piece, bytes - sent))
        send(out + sent, std::min(piece, bytes - sent));
    });
    for (size_t got = 0, added = 0; got < bytes;) {
      const size_t n =
          connection_->try_read(in.memory + (in.whole ? got : 0), std::min(piece, bytes - got));
      got += n;
      if (n == 0) wait_until(POLLIN);
      added = add(in, added, got);
    }
    sender.join();
  }

  void send(const char* out, size_t bytes) {
    for (size_t sent = 0; sent < bytes;) {
      const iovec part{const_cast<char*>(out) + sent, bytes - sent};
      const size_t n = connection_->try_write({&part, 1});
      sent += n;
      if (n == 0) wait_until(POLLOUT);
    }
  }

  void receive(char* in, size_t bytes) {
    for (size_t got = 0; got < bytes;) {
      const size_t n = connection_->try_read(in + got, bytes - got);
      got += n;
      if (n == 0) wait_until(POLLIN);
    }
  }

  template <class T>
  T swap(T mine) {
    T theirs{};
    exchange(reinterpret_cast<const char*>(&mine), {.memory = reinterpret_cast<char*>(&theirs)},
             sizeof mine, sizeof mine);
    return theirs;
  }

 private:
  /// Adds the whole floats of what has come since; returns how far.
  static size_t add(const Into& in, size_t from, size_t to) {
    to = to / sizeof(float) * sizeof(float);
    if (in.sums)
      cohort::distribute::reduce_into(reinterpret_cast<char*>(in.sums) + from, in.memory + from,
                                      static_cast<int64_t>((to - from) / sizeof(float)),
                                      cohort::DType::kF32, cohort::ops::ReduceOp::kSum);
    return to;
  }

  void wait_until(short events) const {
    pollfd state{fd_, events, 0};
    poll(&state, 1, -1);
  }

  static void check(bool good, const char* what) {
    if (!good) throw cohort::Unavailable("{}: {}", what, std::strerror(errno));
  }

  int fd_ = -1;
  std::unique_ptr<cohort::distribute::Connection> connection_;
};
