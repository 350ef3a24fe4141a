#include "distribute/transport/tcp_mesh.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/runtime/spin_wait.h"
#include "distribute/transport/frame.h"

namespace cohort::distribute {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMaxStrangers = 64;
constexpr auto kStrangerPatience = std::chrono::seconds(5);
constexpr int kDeadAfterMs = 8000;
constexpr size_t kSecretBytes = sizeof Greeting::secret;

struct AddressList {
  explicit AddressList(const std::string& host, const std::string& port, bool passive) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = passive ? AI_PASSIVE : 0;
    addrinfo* found = nullptr;
    const int failed = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
    list.reset(found);
    if (failed) reason = gai_strerror(failed);
  }
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list{nullptr, &freeaddrinfo};
  std::string reason;
};

std::string random_secret() {
  std::array<unsigned char, kSecretBytes / 2> bytes;
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw Unavailable("tcp group: got no random bytes from the system");
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

/// What a node writes into the store: "secret port address".
struct Card {
  std::string secret, port, address;
  static Card parse(const std::string& text) {
    const size_t first = text.find(' '), second = text.find(' ', first + 1);
    if (first != kSecretBytes || second == std::string::npos)
      throw Internal("tcp group: got \"{}\" for an address", text);
    return {text.substr(0, first), text.substr(first + 1, second - first - 1),
            text.substr(second + 1)};
  }
};

void set_option(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

/// Small frames at once, and an end to connections whose peer's machine has gone.
void tune(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kDeadAfterMs);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 3);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 5);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

bool send_all(int fd, const Greeting& greeting) {
  return send(fd, &greeting, sizeof greeting, MSG_NOSIGNAL) ==
         static_cast<ssize_t>(sizeof greeting);
}

/// A connection that has not shown its greeting yet.
struct Stranger {
  FileDescriptor fd;
  Clock::time_point since;
  std::array<char, sizeof(Greeting)> bytes{};
  size_t got = 0;
};

enum class Heard { kNotYet, kAll, kEnd };

Heard hear(Stranger& stranger) {
  const ssize_t got = recv(stranger.fd.get(), stranger.bytes.data() + stranger.got,
                           stranger.bytes.size() - stranger.got, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Heard::kNotYet;
  if (got <= 0) return Heard::kEnd;
  stranger.got += static_cast<size_t>(got);
  return stranger.got == stranger.bytes.size() ? Heard::kAll : Heard::kNotYet;
}

class Mesh {
 public:
  explicit Mesh(const TcpMeshOptions& options)
      : options_(options),
        deadline_(Clock::now() + options.timeout),
        secret_(random_secret()),
        links_(options.names.size()),
        why_(options.names.size(), "did not connect") {}

  std::vector<FileDescriptor> run() {
    open_listener();
    options_.store->insert(key_of(options_.node),
                           fmt::format("{} {} {}", secret_, port_, options_.address));
    while (true) {
      for (int node = 0; node < options_.node; ++node)
        if (!links_[static_cast<size_t>(node)]) try_connect(node);
      accept_all();
      hear_all();
      const std::vector<std::string> missing = describe_missing();
      if (missing.empty()) return std::move(links_);
      if (Clock::now() >= deadline_)
        throw DeadlineExceeded("tcp group: {} in {} ms", fmt::join(missing, "; "),
                               options_.timeout.count());
      wait_for_events();
    }
  }

 private:
  std::string key_of(int node) const { return options_.key + "/" + std::to_string(node); }

  void open_listener() {
    const AddressList addresses(options_.address, "0", true);
    std::string reason = addresses.reason;
    for (const addrinfo* a = addresses.list.get(); a && !listener_; a = a->ai_next) {
      FileDescriptor fd(socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (fd && bind(fd.get(), a->ai_addr, a->ai_addrlen) == 0 && listen(fd.get(), 128) == 0)
        listener_ = std::move(fd);
      else
        reason = std::strerror(errno);
    }
    if (!listener_)
      throw Unavailable("tcp group: cannot listen at {}: {}", options_.address, reason);
    sockaddr_storage bound{};
    socklen_t bytes = sizeof bound;
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&bound), &bytes);
    port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                              : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  }

  std::string& why(int node) { return why_[static_cast<size_t>(node)]; }

  void try_connect(int node) {
    const std::optional<std::string> text = options_.store->try_get(key_of(node));
    if (!text) {
      why(node) = "has not said where it listens";
      return;
    }
    const Card card = Card::parse(*text);
    const AddressList addresses(card.address, card.port, false);
    why(node) = fmt::format("{}:{}: {}", card.address, card.port, addresses.reason);
    for (const addrinfo* a = addresses.list.get(); a; a = a->ai_next) {
      Stranger peer{.fd = FileDescriptor(socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0))};
      const timeval patience{2, 0};
      setsockopt(peer.fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      if (!peer.fd || connect(peer.fd.get(), a->ai_addr, a->ai_addrlen) != 0) {
        why(node) = fmt::format("{}:{}: {}", card.address, card.port, std::strerror(errno));
        continue;
      }
      why(node) = fmt::format("{}:{}: no answer", card.address, card.port);
      if (!send_all(peer.fd.get(), greeting(card.secret)) || !hear_answer(peer)) continue;
      if (accepts(peer, node)) return;
    }
  }

  Greeting greeting(const std::string& secret) const {
    Greeting mine{.node = options_.node, .num_nodes = static_cast<int32_t>(links_.size())};
    std::copy_n(secret.begin(), kSecretBytes, mine.secret);
    return mine;
  }

  bool hear_answer(Stranger& peer) {
    const auto until = std::min(deadline_, Clock::now() + kStrangerPatience);
    while (Clock::now() < until) {
      pollfd readable{peer.fd.get(), POLLIN, 0};
      poll(&readable, 1, 100);
      if (const Heard heard = hear(peer); heard != Heard::kNotYet) return heard == Heard::kAll;
      // The peer may be waiting for this node's answer to its own connection.
      accept_all();
      hear_all();
    }
    return false;
  }

  /// Takes a connection whose greeting is complete and right. `expected`: -1 for any higher node.
  bool accepts(Stranger& stranger, int expected) {
    Greeting theirs;
    std::memcpy(&theirs, stranger.bytes.data(), sizeof theirs);
    const int node = theirs.node;
    const bool fits =
        theirs.magic == kFrameMagic && theirs.version == kFrameVersion &&
        theirs.num_nodes == static_cast<int32_t>(links_.size()) &&
        std::equal(secret_.begin(), secret_.end(), theirs.secret) &&
        (expected >= 0 ? node == expected : node > options_.node && node < theirs.num_nodes);
    if (!fits) return false;
    if (expected < 0) {  // a node that gave an earlier connection up comes again
      const std::optional<std::string> text = options_.store->try_get(key_of(node));
      if (!text || !send_all(stranger.fd.get(), greeting(Card::parse(*text).secret))) return false;
    }
    tune(stranger.fd.get());
    links_[static_cast<size_t>(node)] = std::move(stranger.fd);
    return true;
  }

  void accept_all() {
    while (strangers_.size() < kMaxStrangers) {
      FileDescriptor fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) return;
      strangers_.push_back({.fd = std::move(fd), .since = Clock::now()});
    }
  }

  void hear_all() {
    std::vector<Stranger> waiting;
    for (Stranger& stranger : strangers_) {
      const Heard heard = hear(stranger);
      if (heard == Heard::kAll) accepts(stranger, -1);
      if (heard == Heard::kNotYet && Clock::now() - stranger.since < kStrangerPatience)
        waiting.push_back(std::move(stranger));
    }
    strangers_ = std::move(waiting);
  }

  void wait_for_events() {
    std::vector<pollfd> events{{listener_.get(), POLLIN, 0}};
    for (const Stranger& stranger : strangers_) events.push_back({stranger.fd.get(), POLLIN, 0});
    poll(events.data(), events.size(), 10);  // short: the store has no descriptor to poll
  }

  std::vector<std::string> describe_missing() const {
    std::vector<std::string> missing;
    for (size_t node = 0; node < links_.size(); ++node)
      if (static_cast<int>(node) != options_.node && !links_[node])
        missing.push_back(options_.names[node] + " " + why_[node]);
    return missing;
  }

  const TcpMeshOptions& options_;
  const Clock::time_point deadline_;
  const std::string secret_;
  FileDescriptor listener_;
  int port_ = 0;
  std::vector<Stranger> strangers_;
  std::vector<FileDescriptor> links_;
  std::vector<std::string> why_;
};

}  // namespace

std::vector<FileDescriptor> connect_mesh(const TcpMeshOptions& options) {
  return Mesh(options).run();
}

}  // namespace cohort::distribute
