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
#include <cstdlib>
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
constexpr auto kLookAround = std::chrono::milliseconds(100);
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

/// What a node writes into the store: "secret port identity address".
struct Card {
  std::string secret, port, identity, address;
  static Card parse(const std::string& text) {
    const size_t first = text.find(' '), second = text.find(' ', first + 1),
                 third = text.find(' ', second + 1);
    if (first != kSecretBytes || second == std::string::npos || third == std::string::npos)
      throw Internal("tcp group: got \"{}\" for an address", text);
    return {text.substr(0, first), text.substr(first + 1, second - first - 1),
            text.substr(second + 1, third - second - 1), text.substr(third + 1)};
  }
};

const char* words_for(const std::string& identity) {
  return identity == kPlainIdentity ? "plain text" : "TLS";
}

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

/// A connection that has not shown its greeting yet.
struct Stranger {
  std::unique_ptr<Connection> connection;
  Clock::time_point since;
  Greeting greeting;
  size_t got = 0;
};

/// Sends what is left of a greeting. True: all of it has left.
bool send_rest(Connection& connection, const Greeting& greeting, size_t& sent) {
  if (sent == sizeof greeting) return true;
  const iovec rest{const_cast<char*>(reinterpret_cast<const char*>(&greeting)) + sent,
                   sizeof greeting - sent};
  sent += connection.try_write({&rest, 1});
  return sent == sizeof greeting;
}

/// True: the greeting is complete.
bool hear(Stranger& stranger) {
  stranger.got +=
      stranger.connection->try_read(reinterpret_cast<char*>(&stranger.greeting) + stranger.got,
                                    sizeof stranger.greeting - stranger.got);
  return stranger.got == sizeof stranger.greeting;
}

/// What comes of trying something on a connection that may end meanwhile.
enum class Outcome { kNotYet, kDone, kEnd, kRefused };

template <class Try>
Outcome outcome_of(const Try& attempt) {
  try {
    return attempt() ? Outcome::kDone : Outcome::kNotYet;
  } catch (const Error& error) {
    return error.code() == Code::kPermissionDenied ? Outcome::kRefused : Outcome::kEnd;
  }
}

/// A connection refused during its handshake, until the peer has heard why.
struct Refused {
  std::unique_ptr<Connection> connection;
  Clock::time_point since;
};

/// True: the peer has left.
bool drain(const Refused& refused) {
  std::array<char, 4096> unread;
  const ssize_t got = recv(refused.connection->descriptor(), unread.data(), unread.size(), 0);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

class Mesh {
 public:
  explicit Mesh(const TcpMeshOptions& options)
      : options_(options),
        deadline_(Clock::now() + options.timeout),
        secret_(random_secret()),
        links_(options.names.size()),
        why_(options.names.size(), "did not connect") {}

  std::vector<std::unique_ptr<Connection>> run() {
    open_listener();
    options_.store->insert(key_of(options_.node),
                           fmt::format("{} {} {} {}", secret_, port_,
                                       options_.connections->identity(), options_.address));
    while (true) {
      look_around();
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
  std::string refusal_key() const { return options_.key + "/refused"; }

  std::optional<Card> card_of(int node) const {
    const std::optional<std::string> text = options_.store->try_get(key_of(node));
    if (!text) return {};
    return Card::parse(*text);
  }

  /// Now and then: whether a node has given the group up.
  void look_around() {
    if (Clock::now() < next_look_) return;
    next_look_ = Clock::now() + kLookAround;
    const std::optional<std::string> refusal = options_.store->try_get(refusal_key());
    if (!refusal) return;
    const size_t end = refusal->find(' ');
    const int code = std::atoi(refusal->c_str());
    throw Error(static_cast<Code>(std::clamp(code, 1, 15)), refusal->substr(end + 1));
  }

  /// Gives the group up, on every node that is still here.
  [[noreturn]] void refuse(const Error& reason) {
    try {
      options_.store->insert(refusal_key(),
                             fmt::format("{} {}", static_cast<int>(reason.code()), reason.what()));
    } catch (const Error&) {  // somebody was faster
    }
    throw Error(reason);
  }

  void expect_same_kind(int node, const Card& card) {
    const std::string mine = words_for(options_.connections->identity());
    const std::string theirs = words_for(card.identity);
    if (mine != theirs)
      refuse(FailedPrecondition("tcp group: {} uses {}, and {} uses {}; want TLS on all or none",
                                name_of(node), theirs, name_of(options_.node), mine));
  }

  const std::string& name_of(int node) const { return options_.names[static_cast<size_t>(node)]; }

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
    const std::optional<Card> card = card_of(node);
    if (!card) {
      why(node) = "has not said where it listens";
      return;
    }
    expect_same_kind(node, *card);
    const std::string where = fmt::format("at {}:{}", card->address, card->port);
    const AddressList addresses(card->address, card->port, false);
    why(node) = where + ": " + addresses.reason;
    for (const addrinfo* a = addresses.list.get(); a; a = a->ai_next) {
      FileDescriptor fd(socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const timeval patience{2, 0};
      setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      if (!fd || connect(fd.get(), a->ai_addr, a->ai_addrlen) != 0) {
        why(node) = where + ": " + std::strerror(errno);
        continue;
      }
      tune(fd.get());
      Stranger peer{.connection = options_.connections->make(std::move(fd), Side::kCaller)};
      why(node) = where + ": no answer";
      if (exchange_greetings(peer, node, *card) && accepts(peer, node)) return;
    }
  }

  Greeting greeting(const std::string& secret) const {
    Greeting mine{.node = options_.node, .num_nodes = static_cast<int32_t>(links_.size())};
    std::copy_n(secret.begin(), kSecretBytes, mine.secret);
    return mine;
  }

  bool exchange_greetings(Stranger& peer, int node, const Card& card) {
    const Greeting mine = greeting(card.secret);
    const auto until = std::min(deadline_, Clock::now() + kStrangerPatience);
    for (size_t sent = 0; Clock::now() < until;) {
      try {
        if (send_rest(*peer.connection, mine, sent) && hear(peer)) return true;
        if (sent > 0 && peer.connection->peer_identity() != card.identity)
          throw Error(Code::kPermissionDenied, "its certificate is not the one in the store");
      } catch (const Error& error) {
        if (error.code() == Code::kPermissionDenied)
          refuse(Error(error.code(),
                       fmt::format("tcp group: {} at {}:{}, whom {} called: {}", name_of(node),
                                   card.address, card.port, name_of(options_.node), error.what())));
        why(node) += std::string(", ") + error.what();
        return false;
      }
      pollfd readable{peer.connection->descriptor(), POLLIN, 0};
      poll(&readable, 1, 100);
      // The peer may be waiting for this node's answer to its own connection.
      look_around();
      accept_all();
      hear_all();
    }
    return false;
  }

  /// Takes a connection whose greeting is complete and right. `expected`: -1 for any higher node.
  bool accepts(Stranger& stranger, int expected) {
    const Greeting& theirs = stranger.greeting;
    const int node = theirs.node;
    const bool fits =
        theirs.magic == kFrameMagic && theirs.version == kFrameVersion &&
        theirs.num_nodes == static_cast<int32_t>(links_.size()) &&
        std::equal(secret_.begin(), secret_.end(), theirs.secret) &&
        (expected >= 0 ? node == expected : node > options_.node && node < theirs.num_nodes);
    if (!fits) return false;
    if (expected < 0) {  // a node that gave an earlier connection up comes again
      const std::optional<Card> card = card_of(node);
      size_t sent = 0;
      if (!card || stranger.connection->peer_identity() != card->identity) return false;
      const Greeting mine = greeting(card->secret);
      if (outcome_of([&] { return send_rest(*stranger.connection, mine, sent); }) != Outcome::kDone)
        return false;
    }
    links_[static_cast<size_t>(node)] = std::move(stranger.connection);
    return true;
  }

  void accept_all() {
    while (strangers_.size() + refused_.size() < kMaxStrangers) {
      FileDescriptor fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) return;
      tune(fd.get());
      strangers_.push_back(
          {.connection = options_.connections->make(std::move(fd), Side::kListener),
           .since = Clock::now()});
    }
  }

  void hear_all() {
    std::vector<Stranger> waiting;
    for (Stranger& stranger : strangers_) {
      const Outcome outcome = outcome_of([&] { return hear(stranger); });
      if (outcome == Outcome::kDone) accepts(stranger, -1);
      if (outcome == Outcome::kNotYet && Clock::now() - stranger.since < kStrangerPatience)
        waiting.push_back(std::move(stranger));
      if (outcome == Outcome::kRefused) {
        stranger.connection->finish();
        refused_.push_back({std::move(stranger.connection), Clock::now()});
      }
    }
    strangers_ = std::move(waiting);
    std::erase_if(refused_, [](const Refused& refused) {
      return drain(refused) || Clock::now() - refused.since > kStrangerPatience;
    });
  }

  void wait_for_events() {
    std::vector<pollfd> events{{listener_.get(), POLLIN, 0}};
    for (const Stranger& stranger : strangers_)
      events.push_back({stranger.connection->descriptor(), POLLIN, 0});
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
  Clock::time_point next_look_;
  std::vector<Stranger> strangers_;
  std::vector<Refused> refused_;
  std::vector<std::unique_ptr<Connection>> links_;
  std::vector<std::string> why_;
};

}  // namespace

std::vector<std::unique_ptr<Connection>> connect_mesh(const TcpMeshOptions& options) {
  return Mesh(options).run();
}

}  // namespace cohort::distribute
