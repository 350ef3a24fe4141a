#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "cohort/core/error.h"
#include "cohort/distribute/transport/connection.h"

namespace cohort::distribute {
namespace {

class PlainConnection final : public Connection {
 public:
  explicit PlainConnection(FileDescriptor socket) : socket_(std::move(socket)) {}

  size_t try_write(std::span<const iovec> parts) override {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    while (true) {
      const ssize_t sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
      if (sent >= 0) return static_cast<size_t>(sent);
      if (errno == EAGAIN) return 0;
      if (errno != EINTR) throw Unavailable("{}", std::strerror(errno));
    }
  }

  size_t try_read(char* to, size_t bytes) override {
    while (true) {
      const ssize_t got = recv(socket_.get(), to, bytes, 0);
      if (got > 0) return static_cast<size_t>(got);
      if (got == 0) throw Unavailable("it closed the connection");
      if (errno == EAGAIN) return 0;
      if (errno != EINTR) throw Unavailable("{}", std::strerror(errno));
    }
  }

  int descriptor() const override { return socket_.get(); }
  std::string peer_identity() const override { return kPlainIdentity; }
  void finish() override { shutdown(socket_.get(), SHUT_WR); }

 private:
  const FileDescriptor socket_;
};

class PlainConnections final : public ConnectionMaker {
 public:
  const std::string& identity() const override { return identity_; }
  std::unique_ptr<Connection> make(FileDescriptor socket, Side) const override {
    return std::make_unique<PlainConnection>(std::move(socket));
  }

 private:
  const std::string identity_ = kPlainIdentity;
};

}  // namespace

std::shared_ptr<const ConnectionMaker> make_plain_connections() {
  return std::make_shared<PlainConnections>();
}

}  // namespace cohort::distribute
