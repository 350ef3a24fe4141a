#include "cohort/distribute/transport/host_exchange.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "cohort/cluster/peer_wait.h"
#include "cohort/core/system.h"
#include "cohort/distribute/transport/random_hex.h"

namespace cohort::distribute {
namespace {

using cluster::PeerWait;
using std::chrono::milliseconds;
using Secret = std::array<char, 32>;

// Messages of one sequenced packet each: a Hello from every process to the first with its heap, its
// pidfd and its bell; from the first a Welcome with the control file, then one Introduction for
// each process with the same three.
constexpr uint32_t kHelloVersion = 1;

struct Hello {
  uint32_t version = kHelloVersion;
  int32_t process = 0;
  int32_t pid = 0;
  Secret secret{};
  cpu_set_t cores{};
};
struct Welcome {
  uint32_t version = kHelloVersion;
  int32_t num_cores = 0;
};
struct Introduction {
  int32_t process = 0;
  int32_t pid = 0;
};

constexpr size_t kDescriptors = 3;  // heap, pidfd, bell

constexpr const char* kWhere = "shared memory group";

/// What the last call of the system failed with.
Error failure(const char* what, const HostExchangeOptions& options) {
  return system_error(fmt::format("{}: {}", kWhere, what), errno, options.names.size());
}

/// What a process tells the others of itself.
HostExchange::Peer introduce_self(const HostExchangeOptions& options, const SharedFile& heap) {
  FileDescriptor copy(fcntl(heap.fd(), F_DUPFD_CLOEXEC, 0));
  if (!copy) throw failure("descriptor", options);
  FileDescriptor alive(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!alive) throw failure("pidfd_open", options);
  FileDescriptor bell(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell) throw failure("eventfd", options);
  return {SharedFile(std::move(copy)), std::move(alive), std::move(bell), getpid()};
}

cpu_set_t my_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  sched_getaffinity(0, sizeof cores, &cores);
  return cores;
}

struct Address {
  sockaddr_un name{};
  socklen_t bytes = 0;
};

Address abstract_address(const std::string& hex) {
  Address address;
  address.name.sun_family = AF_UNIX;
  const std::string path = "cohort-" + hex;
  std::memcpy(address.name.sun_path + 1, path.data(), path.size());
  address.bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + path.size());
  return address;
}

FileDescriptor packet_socket(const HostExchangeOptions& options) {
  FileDescriptor fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) throw failure("socket", options);
  return fd;
}

/// False, with errno, when it has not left; the socket may be full.
template <class Message>
bool send_message(int socket, const Message& message, std::span<const int> descriptors) {
  iovec part{const_cast<Message*>(&message), sizeof message};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptors)] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  return sendmsg(socket, &header, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof message);
}

enum class Got { kMessage, kNothing, kGarbage, kEnd };

/// Takes one packet. Fills `descriptors` in the order sent. Throws ResourceExhausted when this
/// process has no room for them.
template <class Message>
Got receive_message(int socket, Message& message, std::vector<FileDescriptor>& descriptors,
                    const HostExchangeOptions& options) {
  iovec part{&message, sizeof message};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptors)];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  descriptors.clear();
  if (got < 0) return errno == EAGAIN || errno == EINTR ? Got::kNothing : Got::kEnd;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  if (got == 0) return Got::kEnd;
  if (header.msg_flags & MSG_CTRUNC && descriptors.size() < kDescriptors) {
    errno = EMFILE;
    throw failure("descriptors of another process", options);
  }
  return got == static_cast<ssize_t>(sizeof message) && !(header.msg_flags & MSG_CTRUNC)
             ? Got::kMessage
             : Got::kGarbage;
}

using Descriptors = std::array<int, kDescriptors>;

Descriptors descriptors_of(const HostExchange::Peer& peer) {
  return {peer.heap.fd(), peer.alive.get(), peer.bell.get()};
}

HostExchange::Peer to_peer(std::vector<FileDescriptor>& descriptors, int pid) {
  return {SharedFile(std::move(descriptors[0])), std::move(descriptors[1]),
          std::move(descriptors[2]), pid};
}

bool same_user(int socket) {
  ucred peer{};
  socklen_t bytes = sizeof peer;
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 && peer.uid == geteuid();
}

Secret to_secret(const std::string& text) {
  Secret secret{};
  std::copy_n(text.begin(), std::min(text.size(), secret.size()), secret.begin());
  return secret;
}

/// The first process: waits for the others and tells each about all.
class Hub {
 public:
  Hub(const HostExchangeOptions& options, PeerWait& wait, HostExchange& out)
      : options_(options), wait_(wait), out_(out), members_(options.names.size()) {}

  void run() {
    const std::string name = random_hex(16), secret = random_hex(16);
    secret_ = to_secret(secret);
    const Address address = abstract_address(name);
    listener_ = packet_socket(options_);
    if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address.name), address.bytes) ||
        listen(listener_.get(), 128))
      throw failure("listen", options_);
    options_.store->insert(options_.key, name + secret);
    while (!missing().empty()) {
      wait_for_events();
      accept_all();
      hear_all();
    }
    introduce_all();
  }

 private:
  std::vector<std::string> missing() const {
    std::vector<std::string> names;
    for (size_t p = 1; p < members_.size(); ++p)
      if (!members_[p]) names.push_back(options_.names[p]);
    return names;
  }

  void wait_for_events() {
    std::vector<pollfd> events{{listener_.get(), POLLIN, 0}};
    for (const FileDescriptor& stranger : strangers_) events.push_back({stranger.get(), POLLIN, 0});
    const size_t first = events.size();
    for (const FileDescriptor& member : members_) events.push_back({member.get(), 0, 0});
    wait_.poll(events, [&] { return fmt::format("{}", fmt::join(missing(), ", ")); });
    for (size_t p = 1; p < members_.size(); ++p)
      if (members_[p] && events[first + p].revents) gone(p);
  }

  [[noreturn]] void gone(size_t p) {
    wait_.give_up(
        Unavailable("{}: {} (pid {}) has gone", kWhere, options_.names[p], out_.peers[p].pid));
  }

  void accept_all() {
    while (true) {
      FileDescriptor client(
          accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (client && same_user(client.get()))
        strangers_.push_back(std::move(client));
      else if (!client && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
        throw failure("accept", options_);  // it stays in the queue: no use to poll again
      else if (!client && errno != ECONNABORTED)
        return;
    }
  }

  void hear_all() {
    std::vector<FileDescriptor> silent;
    for (FileDescriptor& stranger : strangers_) {
      Hello hello;
      std::vector<FileDescriptor> descriptors;
      const Got got = receive_message(stranger.get(), hello, descriptors, options_);
      if (got == Got::kMessage)
        admit(hello, std::move(descriptors), std::move(stranger));
      else if (got == Got::kNothing)
        silent.push_back(std::move(stranger));
    }
    strangers_ = std::move(silent);
  }

  void admit(const Hello& hello, std::vector<FileDescriptor> descriptors, FileDescriptor client) {
    const auto p = static_cast<size_t>(hello.process);
    if (hello.version != kHelloVersion || hello.secret != secret_ || hello.process < 1 ||
        p >= members_.size() || members_[p] || descriptors.size() != kDescriptors)
      return;
    members_[p] = std::move(client);
    out_.peers[p] = to_peer(descriptors, hello.pid);
    CPU_OR(&cores_, &cores_, &hello.cores);
  }

  void introduce_all() {
    out_.num_cores = CPU_COUNT(&cores_);
    for (size_t p = 1; p < members_.size(); ++p) {
      const int control = out_.control.fd();
      send(p, Welcome{.num_cores = out_.num_cores}, std::span(&control, 1));
      for (size_t q = 0; q < members_.size(); ++q) {
        const HostExchange::Peer& peer = out_.peers[q];
        const Descriptors descriptors = descriptors_of(peer);
        send(p, Introduction{.process = static_cast<int32_t>(q), .pid = peer.pid}, descriptors);
      }
    }
  }

  template <class Message>
  void send(size_t p, const Message& message, std::span<const int> descriptors) {
    pollfd event{members_[p].get(), POLLOUT, 0};
    while (!send_message(event.fd, message, descriptors)) {
      if (errno == EPIPE || errno == ECONNRESET) gone(p);
      if (errno != EAGAIN && errno != EINTR) throw failure("send", options_);
      wait_.poll({&event, 1}, [&] { return options_.names[p]; });
    }
  }

  const HostExchangeOptions& options_;
  PeerWait& wait_;
  HostExchange& out_;
  Secret secret_{};
  FileDescriptor listener_;
  std::vector<FileDescriptor> strangers_;
  std::vector<FileDescriptor> members_;  ///< by process
  cpu_set_t cores_ = my_cores();
};

/// Every other process.
class Guest {
 public:
  Guest(const HostExchangeOptions& options, PeerWait& wait, HostExchange& out)
      : options_(options), wait_(wait), out_(out) {}

  void run() {
    const std::string where = wait_.get(options_.key, [&] { return options_.names.front(); });
    if (where.size() != 64) throw Internal("{}: got \"{}\" for an address", kWhere, where);
    const Address address = abstract_address(where.substr(0, 32));
    socket_ = packet_socket(options_);
    const Hello hello{.process = options_.process,
                      .pid = getpid(),
                      .secret = to_secret(where.substr(32)),
                      .cores = my_cores()};
    const auto mine = static_cast<size_t>(options_.process);
    const Descriptors descriptors = descriptors_of(out_.peers[mine]);
    insist([&] {
      return connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address.name),
                     address.bytes) == 0;
    });
    insist([&] { return send_message(socket_.get(), hello, descriptors); });
    receive_all();
  }

 private:
  [[noreturn]] void gone() {
    wait_.give_up(Unavailable("{}: {} has gone", kWhere, options_.names.front()));
  }

  /// Tries until it succeeds: the queue of the first process may be full.
  template <class Try>
  void insist(Try&& attempt) {
    constexpr milliseconds kPause(10);
    while (!attempt()) {
      if (errno == ECONNREFUSED || errno == EPIPE || errno == ECONNRESET) gone();
      if (errno != EAGAIN && errno != EINTR) throw failure("first process of the host", options_);
      wait_.poll(
          {}, [&] { return options_.names.front(); }, kPause);
    }
  }

  void receive_all() {
    Welcome welcome;
    next(welcome, 1);
    out_.control = SharedFile(std::move(received_[0]));
    out_.num_cores = welcome.num_cores;
    for (size_t q = 0; q < out_.peers.size(); ++q) {
      Introduction peer;
      next(peer, kDescriptors);
      if (peer.process != static_cast<int32_t>(q)) throw Internal("{}: bad order", kWhere);
      if (peer.process == options_.process) continue;
      out_.peers[q] = to_peer(received_, peer.pid);
    }
  }

  template <class Message>
  void next(Message& message, size_t num_descriptors) {
    pollfd event{socket_.get(), POLLIN, 0};
    while (true) {
      const Got got = receive_message(socket_.get(), message, received_, options_);
      if (got == Got::kMessage && received_.size() == num_descriptors) return;
      if (got != Got::kNothing) gone();
      wait_.poll({&event, 1}, [&] {
        return fmt::format("all of {} to come to {}", fmt::join(options_.names, ", "),
                           options_.names.front());
      });
    }
  }

  const HostExchangeOptions& options_;
  PeerWait& wait_;
  HostExchange& out_;
  FileDescriptor socket_;
  std::vector<FileDescriptor> received_;
};

}  // namespace

HostExchange exchange_on_host(const HostExchangeOptions& options, const SharedFile& heap) {
  HostExchange out;
  out.peers.resize(options.names.size());
  out.peers[static_cast<size_t>(options.process)] = introduce_self(options, heap);
  if (options.names.size() == 1) {
    out.control = SharedFile::create("cohort-group");
    const cpu_set_t cores = my_cores();
    out.num_cores = CPU_COUNT(&cores);
    return out;
  }
  const std::string& self = options.names[static_cast<size_t>(options.process)];
  PeerWait wait({.store = options.store,
                 .where = fmt::format("{}: {}", kWhere, self),
                 .timeout = options.timeout});
  if (options.process == 0) {
    out.control = SharedFile::create("cohort-group");
    Hub(options, wait, out).run();
  } else {
    Guest(options, wait, out).run();
  }
  return out;
}

}  // namespace cohort::distribute
