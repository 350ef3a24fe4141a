#include "cluster/endpoint.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "core/error.h"

namespace cohort::cluster {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

AddressList look_up(const Endpoint& endpoint, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const std::string port = std::to_string(endpoint.port);
  const int code = getaddrinfo(endpoint.host.c_str(), port.c_str(), &hints, &list);
  if (code != 0)
    throw NotFound("{}: the name does not resolve: {}", endpoint.to_string(),
                   code == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(code));
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

 private:
  int fd_;
};

std::string lower_case(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace

std::string Endpoint::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Endpoint parse_endpoint(const std::string& address) {
  const size_t colon = address.rfind(':');
  Endpoint endpoint;
  bool valid = colon != std::string::npos && colon > 0;
  if (valid) {
    endpoint.host = address.substr(0, colon);
    const char* begin = address.data() + colon + 1;
    const char* end = address.data() + address.size();
    const auto [rest, error] = std::from_chars(begin, end, endpoint.port);
    valid = error == std::errc() && rest == end && endpoint.port >= 0 && endpoint.port <= 65535;
    if (endpoint.host.front() == '[' && endpoint.host.back() == ']')
      endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
    else if (endpoint.host.find(':') != std::string::npos)
      valid = false;
  }
  if (!valid || endpoint.host.empty())
    throw InvalidArgument("address: got '{}'; want host:port with a port of 0 to 65535", address);
  return endpoint;
}

std::vector<Endpoint> resolve(const Endpoint& endpoint) {
  const AddressList list = look_up(endpoint, 0);
  std::vector<Endpoint> found;
  for (const addrinfo* at = list.get(); at; at = at->ai_next) {
    char host[NI_MAXHOST];
    if (getnameinfo(at->ai_addr, at->ai_addrlen, host, sizeof(host), nullptr, 0, NI_NUMERICHOST) ==
        0)
      found.push_back({host, endpoint.port});
  }
  return found;
}

std::string try_connect(const Endpoint& numeric, std::chrono::milliseconds timeout) {
  const AddressList address = look_up(numeric, AI_NUMERICHOST);
  const Socket socket(*address);
  if (socket.fd() < 0) return lower_case(std::strerror(errno));
  if (connect(socket.fd(), address->ai_addr, address->ai_addrlen) == 0) return "";
  if (errno != EINPROGRESS) return lower_case(std::strerror(errno));
  pollfd ready{.fd = socket.fd(), .events = POLLOUT, .revents = 0};
  const int count = poll(&ready, 1, static_cast<int>(timeout.count()));
  if (count == 0) return "no answer in " + std::to_string(timeout.count()) + " ms";
  int error = count < 0 ? errno : 0;
  socklen_t size = sizeof(error);
  if (count > 0) getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? "" : lower_case(std::strerror(error));
}

void check_listenable(const Endpoint& numeric) {
  const AddressList address = look_up(numeric, AI_NUMERICHOST | AI_PASSIVE);
  const Socket socket(*address);
  const int on = 1;
  if (socket.fd() >= 0 && setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
      bind(socket.fd(), address->ai_addr, address->ai_addrlen) == 0 && listen(socket.fd(), 1) == 0)
    return;
  const int error = errno;
  if (error == EADDRINUSE)
    throw AlreadyExists("server: port {} is in use: cannot listen at {}", numeric.port,
                        numeric.to_string());
  throw FailedPrecondition("server: cannot listen at {}: {}{}", numeric.to_string(),
                           lower_case(std::strerror(error)),
                           error == EADDRNOTAVAIL ? "; it is not an address of this machine" : "");
}

}  // namespace cohort::cluster
