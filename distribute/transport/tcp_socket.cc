#include "cohort/distribute/transport/tcp_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "cohort/cluster/port_holder.h"
#include "cohort/core/system.h"

namespace cohort::distribute {
namespace {

constexpr int kDeadAfterMs = 8000;

void set_option(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

/// 0, or why the address cannot be listened at, as errno.
int try_listen(const addrinfo& address, bool chosen_port, FileDescriptor& out) {
  FileDescriptor fd(socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno;
  // Connections of an earlier group may still have a port of the range.
  if (chosen_port) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (bind(fd.get(), address.ai_addr, address.ai_addrlen) != 0 || listen(fd.get(), 128) != 0)
    return errno;
  out = std::move(fd);
  return 0;
}

int port_of(int socket) {
  sockaddr_storage bound{};
  socklen_t bytes = sizeof bound;
  getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &bytes);
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                           : reinterpret_cast<sockaddr_in&>(bound).sin_port);
}

Error none_free(const std::string& host, const cluster::PortRange& ports) {
  const std::string holder = cluster::port_holder(ports.first);
  return ResourceExhausted(
      "tcp group: none of the ports {} of COHORT_PORT_RANGE is free at {}{}; want one for each "
      "host's first worker",
      ports.to_string(), host,
      holder.empty() ? "" : fmt::format(": {} is held by {}", ports.first, holder));
}

}  // namespace

AddressList::AddressList(const std::string& host, const std::string& port, bool passive) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = passive ? AI_PASSIVE : 0;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  list.reset(found);
  if (failed == EAI_SYSTEM)
    reason = system_reason(errno);
  else if (failed)
    reason = gai_strerror(failed);
}

TcpListener listen_at(const std::string& host, const cluster::PortRange& ports) {
  std::string reason;
  for (int port = ports.first; port <= ports.last; ++port) {
    const AddressList addresses(host, std::to_string(port), true);
    if (!addresses.reason.empty()) reason = addresses.reason;
    for (const addrinfo* a = addresses.list.get(); a; a = a->ai_next) {
      TcpListener listener;
      const int failed = try_listen(*a, !ports.any(), listener.socket);
      if (failed == 0) {
        listener.port = port_of(listener.socket.get());
        return listener;
      }
      const std::string where = fmt::format("tcp group: cannot listen at {}:{}", host, port);
      if (Error error = system_error(where, failed); error.code() == Code::kResourceExhausted)
        throw error;
      if (failed != EADDRINUSE) reason = system_reason(failed);
    }
    if (!reason.empty()) break;
  }
  if (reason.empty()) throw none_free(host, ports);
  throw Unavailable("tcp group: cannot listen at {}: {}", host, reason);
}

int begin_connect(const addrinfo& address, FileDescriptor& out) {
  FileDescriptor fd(socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno;
  const int failed = connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  out = std::move(fd);
  return failed;
}

int end_connect(int socket) {
  int error = 0;
  socklen_t bytes = sizeof error;
  return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 ? error : errno;
}

void tune(int socket) {
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, kDeadAfterMs);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 3);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 5);
}

}  // namespace cohort::distribute
