#include "cohort/cluster/endpoint.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "cohort/cluster/port_holder.h"
#include "cohort/core/system.h"

namespace cohort::cluster {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

AddressList look_up(const Address& address, int flags, std::string_view advice = "") {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const std::string port = std::to_string(address.port);
  const int code = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &list);
  if (code != 0)
    throw NotFound("{}: the name does not resolve: {}{}{}", address.to_string(),
                   code == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(code),
                   advice.empty() ? "" : "; ", advice);
  return AddressList(list, freeaddrinfo);
}

class Socket {
 public:
  explicit Socket(const addrinfo& address)
      : fd_(socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::string lower_case(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace

std::vector<Address> resolve(const Address& address, std::string_view advice) {
  const AddressList list = look_up(address, 0, advice);
  std::vector<Address> found;
  for (const addrinfo* at = list.get(); at; at = at->ai_next) {
    char host[NI_MAXHOST];
    if (getnameinfo(at->ai_addr, at->ai_addrlen, host, sizeof(host), nullptr, 0, NI_NUMERICHOST) ==
        0)
      found.push_back({host, address.port});
  }
  return found;
}

namespace {

/// Empty, or why there is no connection.
std::string connect_within(const Socket& socket, const addrinfo& address,
                           std::chrono::milliseconds timeout) {
  if (socket.fd() < 0) throw system_error("cluster: socket", errno);  // no use to try again
  if (connect(socket.fd(), address.ai_addr, address.ai_addrlen) == 0) return "";
  if (errno != EINPROGRESS) return lower_case(std::strerror(errno));
  pollfd ready{.fd = socket.fd(), .events = POLLOUT, .revents = 0};
  const int count = poll(&ready, 1, static_cast<int>(timeout.count()));
  if (count == 0) return "no answer in " + std::to_string(timeout.count()) + " ms";
  int error = count < 0 ? errno : 0;
  socklen_t size = sizeof(error);
  if (count > 0) getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? "" : lower_case(std::strerror(error));
}

}  // namespace

std::string try_connect(const Address& numeric, std::chrono::milliseconds timeout) {
  const AddressList address = look_up(numeric, AI_NUMERICHOST);
  return connect_within(Socket(*address), *address, timeout);
}

std::string ask(const Address& numeric, const std::string& text, size_t count,
                std::chrono::milliseconds timeout) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + timeout;
  const AddressList address = look_up(numeric, AI_NUMERICHOST);
  const Socket socket(*address);
  std::string got;
  if (!connect_within(socket, *address, timeout).empty() ||
      send(socket.fd(), text.data(), text.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(text.size()))
    return got;
  while (got.size() < count && Clock::now() < deadline) {
    pollfd ready{.fd = socket.fd(), .events = POLLIN, .revents = 0};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (poll(&ready, 1, static_cast<int>(left.count()) + 1) <= 0) break;
    char bytes[64];
    const ssize_t some = recv(socket.fd(), bytes, std::min(sizeof bytes, count - got.size()), 0);
    if (some <= 0) break;
    got.append(bytes, static_cast<size_t>(some));
  }
  return got;
}

namespace {

[[noreturn]] void throw_cannot_listen(const Address& numeric, int error) {
  if (error == EADDRINUSE) {
    const std::string holder = port_holder(numeric.port);
    throw AlreadyExists("server: port {} is in use{}: cannot listen at {}", numeric.port,
                        holder.empty() ? "" : " by " + holder, numeric.to_string());
  }
  throw FailedPrecondition("server: cannot listen at {}: {}{}", numeric.to_string(),
                           lower_case(std::strerror(error)),
                           error == EADDRNOTAVAIL ? "; it is not an address of this machine" : "");
}

void listen_with(const Socket& socket, const addrinfo& address, const Address& numeric) {
  const int on = 1;
  if (socket.fd() < 0 || setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      bind(socket.fd(), address.ai_addr, address.ai_addrlen) != 0 ||
      listen(socket.fd(), SOMAXCONN) != 0)
    throw_cannot_listen(numeric, errno);
}

}  // namespace

int listen_at(const Address& numeric, int& port) {
  const AddressList address = look_up(numeric, AI_NUMERICHOST | AI_PASSIVE);
  Socket socket(*address);
  listen_with(socket, *address, numeric);
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&bound), &size);
  port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                           : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  return socket.release();
}

void check_listenable(const Address& numeric) {
  const AddressList address = look_up(numeric, AI_NUMERICHOST | AI_PASSIVE);
  listen_with(Socket(*address), *address, numeric);
}

}  // namespace cohort::cluster
