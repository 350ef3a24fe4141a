#include "cohort/distribute/transport/tcp_mesh.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>

#include "cohort/cluster/peer_wait.h"
#include "cohort/core/system.h"
#include "cohort/distribute/transport/frame.h"
#include "cohort/distribute/transport/random_hex.h"
#include "cohort/distribute/transport/tcp_socket.h"

namespace cohort::distribute {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr size_t kMaxStrangers = 64;
constexpr auto kStrangerPatience = std::chrono::seconds(5);
constexpr auto kConnectPatience = std::chrono::seconds(3);
constexpr milliseconds kLookAround(100);
constexpr milliseconds kStoreNap(10);  // the store has no descriptor to poll
constexpr milliseconds kRetry(100);
constexpr std::chrono::seconds kReport(5);
constexpr std::chrono::seconds kPatienceForReason(2);
constexpr size_t kSecretBytes = sizeof Greeting::secret;

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

/// This node's way to one with a lower number: the addresses of that node in turn, again and again.
struct Call {
  std::optional<Card> card;  ///< since the node has said where it listens
  AddressList addresses;
  const addrinfo* at = nullptr;    ///< the address under way
  FileDescriptor socket;           ///< while it connects
  std::optional<Stranger> peer;    ///< while greetings are exchanged
  size_t sent = 0;                 ///< of this node's greeting
  Clock::time_point until, again;  ///< of the attempt under way; when the next one begins
  std::string why = "it has not said where it listens";

  std::string where() const { return card ? card->address + ":" + card->port : "no address yet"; }
};

class Mesh {
 public:
  explicit Mesh(const TcpMeshOptions& options)
      : options_(options),
        deadline_(Clock::now() + options.timeout),
        secret_(random_hex(kSecretBytes / 2)),
        wait_({.store = options.store,
               .where = "tcp group: " + name_of(options.node),
               .timeout = options.timeout + kPatienceForReason,
               .report_after = kReport,
               .report_every = kReport}),
        listener_(listen_at(options.address, options.ports)),
        calls_(static_cast<size_t>(options.node)),
        links_(options.names.size()) {}

  std::vector<std::unique_ptr<Connection>> run() {
    options_.store->insert(key_of(options_.node),
                           fmt::format("{} {} {} {}", secret_, listener_.port,
                                       options_.connections->identity(), options_.address));
    while (true) {
      look_around();
      for (int node = 0; node < options_.node; ++node)
        if (!link(node)) advance(node);
      accept_all();
      hear_all();
      if (std::all_of(links_.begin(), links_.end(), [&](const auto& link) {
            return link || &link == &links_[static_cast<size_t>(options_.node)];
          }))
        return std::move(links_);
      give_up_if_late();
      wait_for_events();
    }
  }

 private:
  std::string key_of(int node) const { return options_.key + "/" + std::to_string(node); }
  std::string refusal_key() const { return options_.key + "/refused"; }
  const std::string& name_of(int node) const { return options_.names[static_cast<size_t>(node)]; }
  std::unique_ptr<Connection>& link(int node) { return links_[static_cast<size_t>(node)]; }
  Call& call(int node) { return calls_[static_cast<size_t>(node)]; }

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

  /// The caller knows the reason, so the one that is called waits a little longer for it.
  void give_up_if_late() {
    if (Clock::now() < deadline_) return;
    if (const std::string unreached = describe_calls(); !unreached.empty())
      refuse(DeadlineExceeded("tcp group: {} could not reach {} in {} ms", name_of(options_.node),
                              unreached, options_.timeout.count()));
  }

  void expect_same_kind(int node, const Card& card) {
    const std::string mine = words_for(options_.connections->identity());
    const std::string theirs = words_for(card.identity);
    if (mine != theirs)
      refuse(FailedPrecondition("tcp group: {} uses {}, and {} uses {}; want TLS on all or none",
                                name_of(node), theirs, name_of(options_.node), mine));
  }

  void advance(int node) {
    Call& call = this->call(node);
    if (!call.card) {
      call.card = card_of(node);
      if (!call.card) return;
      expect_same_kind(node, *call.card);
    }
    if (!call.at && Clock::now() >= call.again) begin(call);
    if (call.socket) connect(call);
    if (call.peer) greet(node, call);
  }

  /// Starts with the first address, or goes on with the next.
  void begin(Call& call) {
    if (!call.addresses.list)
      call.addresses = AddressList(call.card->address, call.card->port, false);
    if (!call.addresses.list) return fail(call, call.addresses.reason);
    call.at = call.addresses.list.get();
    try_address(call);
  }

  void try_address(Call& call) {
    call.until = Clock::now() + kConnectPatience;
    const int failed = begin_connect(*call.at, call.socket);
    if (failed == EMFILE || failed == ENFILE)
      throw system_error("tcp group: socket", failed, options_.names.size());
    if (failed != 0 && failed != EINPROGRESS) fail(call, system_reason(failed));
  }

  void connect(Call& call) {
    pollfd writable{call.socket.get(), POLLOUT, 0};
    if (::poll(&writable, 1, 0) != 1) {
      if (Clock::now() >= call.until) fail(call, "no answer");
      return;
    }
    if (const int failed = end_connect(call.socket.get())) return fail(call, system_reason(failed));
    tune(call.socket.get());
    call.until = Clock::now() + kStrangerPatience;
    call.sent = 0;
    call.peer.emplace(
        Stranger{.connection = options_.connections->make(std::move(call.socket), Side::kCaller)});
  }

  /// The attempt has come to nothing.
  void fail(Call& call, const std::string& reason) {
    call.why = reason;
    call.socket = {};
    call.peer.reset();
    call.at = call.at ? call.at->ai_next : nullptr;
    if (call.at) return try_address(call);
    call.again = Clock::now() + kRetry;
  }

  Greeting greeting(const std::string& secret) const {
    Greeting mine{.node = options_.node, .num_nodes = static_cast<int32_t>(links_.size())};
    std::copy_n(secret.begin(), kSecretBytes, mine.secret);
    return mine;
  }

  void greet(int node, Call& call) {
    Stranger& peer = *call.peer;
    try {
      if (send_rest(*peer.connection, greeting(call.card->secret), call.sent) && hear(peer)) {
        if (!accepts(peer, node)) return fail(call, "something else answered");
        call.peer.reset();
        return;
      }
      if (call.sent > 0 && peer.connection->peer_identity() != call.card->identity)
        throw Error(Code::kPermissionDenied, "its certificate is not the one in the store");
    } catch (const Error& error) {
      if (error.code() == Code::kPermissionDenied)
        refuse(Error(error.code(),
                     fmt::format("tcp group: {} at {}, whom {} called: {}", name_of(node),
                                 call.where(), name_of(options_.node), error.what())));
      return fail(call, std::string("connected, then ") + error.what());
    }
    if (Clock::now() >= call.until) fail(call, "connected, then no answer");
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
    link(node) = std::move(stranger.connection);
    return true;
  }

  bool has_room() const { return strangers_.size() + refused_.size() < kMaxStrangers; }

  void accept_all() {
    while (has_room()) {
      FileDescriptor fd(
          accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd && (errno == EMFILE || errno == ENFILE))  // it stays in the queue
        throw system_error("tcp group: accept", errno, options_.names.size());
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
    std::vector<pollfd> events{{has_room() ? listener_.socket.get() : -1, POLLIN, 0}};
    milliseconds longest = kLookAround;
    for (const Stranger& stranger : strangers_)
      events.push_back({stranger.connection->descriptor(), POLLIN, 0});
    for (int node = 0; node < options_.node; ++node) {
      if (link(node)) continue;
      const Call& call = this->call(node);
      if (!call.card) longest = kStoreNap;
      if (call.socket) events.push_back({call.socket.get(), POLLOUT, 0});
      if (call.peer) events.push_back({call.peer->connection->descriptor(), POLLIN, 0});
    }
    wait_.poll(
        events, [&] { return describe_missing(); }, longest);
  }

  /// The lower nodes that this one has not reached, and why; empty: none.
  std::string describe_calls() {
    std::vector<std::string> unreached;
    for (int node = 0; node < options_.node; ++node)
      if (!link(node))
        unreached.push_back(
            fmt::format("{} at {} ({})", name_of(node), call(node).where(), call(node).why));
    return fmt::format("{}", fmt::join(unreached, "; "));
  }

  std::string describe_missing() {
    std::string text = describe_calls();
    if (!text.empty()) text += ", which it cannot reach";
    for (int node = options_.node + 1; node < static_cast<int>(links_.size()); ++node)
      if (!link(node))
        text += fmt::format("{}{}, which has not connected to {}:{}", text.empty() ? "" : "; ",
                            name_of(node), options_.address, listener_.port);
    return text;
  }

  const TcpMeshOptions& options_;
  const Clock::time_point deadline_;
  const std::string secret_;
  cluster::PeerWait wait_;
  TcpListener listener_;
  Clock::time_point next_look_;
  std::vector<Stranger> strangers_;
  std::vector<Refused> refused_;
  std::vector<Call> calls_;  ///< of the nodes with lower numbers
  std::vector<std::unique_ptr<Connection>> links_;
};

}  // namespace

std::vector<std::unique_ptr<Connection>> connect_mesh(const TcpMeshOptions& options) {
  return Mesh(options).run();
}

}  // namespace cohort::distribute
