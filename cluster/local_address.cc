#include "cohort/cluster/local_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "cohort/cluster/address.h"
#include "cohort/core/error.h"

namespace cohort::cluster {

// A datagram socket that is connected has chosen its interface and sent nothing.
std::string local_address_towards(const std::string& address, std::string_view advice) {
  const Address remote = parse_address(address);
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(remote.port);
  if (const int failure = getaddrinfo(remote.host.c_str(), port.c_str(), &hints, &found))
    throw NotFound("cluster: {}: the name does not resolve: {}{}{}", remote.host,
                   gai_strerror(failure), advice.empty() ? "" : "; ", advice);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  int failure = 0;
  for (const addrinfo* at = found; at; at = at->ai_next) {
    const int handle = socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_storage local{};
    socklen_t length = sizeof local;
    char text[NI_MAXHOST];
    const bool known = handle >= 0 && connect(handle, at->ai_addr, at->ai_addrlen) == 0 &&
                       getsockname(handle, reinterpret_cast<sockaddr*>(&local), &length) == 0 &&
                       getnameinfo(reinterpret_cast<sockaddr*>(&local), length, text, sizeof text,
                                   nullptr, 0, NI_NUMERICHOST) == 0;
    failure = errno;
    if (handle >= 0) close(handle);
    if (known) return text;
  }
  throw Unavailable("cluster: no interface of this host leads to {}: {}", address,
                    std::strerror(failure));
}

}  // namespace cohort::cluster
