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
#include <string>
#include <thread>

#include "cohort/core/error.h"
#include "cohort/distribute/elementwise.h"
#include "cohort/distribute/transport/file_descriptor.h"
#include "tests/support/folder_store.h"

/// A TCP connection between two programs that sends and receives at once, as fast as it goes.
class RawLink {
 public:
  /// One end listens at `address` and leaves the port under `key`, the other connects.
  RawLink(bool listens, const std::string& address, cohort::test::FolderStore& store,
          const std::string& key) {
    cohort::distribute::FileDescriptor fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    inet_pton(AF_INET, address.c_str(), &at.sin_addr);
    if (listens) {
      check(bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0, "bind");
      check(listen(fd.get(), 1) == 0, "listen");
      socklen_t bytes = sizeof at;
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &bytes);
      store.insert(key, std::to_string(ntohs(at.sin_port)));
      fd_ = cohort::distribute::FileDescriptor(accept(fd.get(), nullptr, nullptr));
    } else {
      at.sin_port =
          htons(static_cast<uint16_t>(std::stoi(store.get(key, std::chrono::seconds(20)))));
      check(connect(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0, "connect");
      fd_ = std::move(fd);
    }
    check(static_cast<bool>(fd_), "accept");
    const int on = 1;
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }

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
        const ssize_t n = recv(fd_.get(), in.memory + (in.whole ? got : 0),
                               std::min(piece, bytes - got), MSG_DONTWAIT);
        check(n > 0 || (n < 0 && errno == EAGAIN), "recv");
        if (n > 0) got += static_cast<size_t>(n), moved = true;
        if (n > 0) added = add(in, added, got);
      }
      if (sent < bytes) {
        const ssize_t n = ::send(fd_.get(), out + sent, std::min(piece, bytes - sent),
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
        check(n > 0 || errno == EAGAIN, "send");
        if (n > 0) sent += static_cast<size_t>(n), moved = true;
      }
      if (moved) continue;
      pollfd events{fd_.get(), 0, 0};
      if (got < bytes) events.events |= POLLIN;
      if (sent < bytes) events.events |= POLLOUT;
      poll(&events, 1, -1);
    }
  }

  /// One thread that sends and one that receives.
  void exchange_with_threads(const char* out, Into in, size_t bytes, size_t piece) {
    std::thread sender([&] {
      for (size_t sent = 0; sent < bytes;) {
        const ssize_t n =
            ::send(fd_.get(), out + sent, std::min(piece, bytes - sent), MSG_NOSIGNAL);
        check(n > 0, "send");
        sent += static_cast<size_t>(n);
      }
    });
    for (size_t got = 0, added = 0; got < bytes;) {
      const ssize_t n =
          recv(fd_.get(), in.memory + (in.whole ? got : 0), std::min(piece, bytes - got), 0);
      check(n > 0, "recv");
      got += static_cast<size_t>(n);
      added = add(in, added, got);
    }
    sender.join();
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

  static void check(bool good, const char* what) {
    if (!good) throw cohort::Unavailable("{}: {}", what, std::strerror(errno));
  }

  cohort::distribute::FileDescriptor fd_;
};
