#include "distribute/transport/host_exchange.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace cohort::distribute {
namespace {

using Clock = std::chrono::steady_clock;
using Secret = std::array<char, 32>;

// Messages of one sequenced packet each: a Hello from every process to the first with its heap, its
// pidfd and its bell; from the first a Welcome with the control file, then one Introduction for
// each process with the same three.
constexpr uint32_t kVersion = 1;

struct Hello {
  uint32_t version = kVersion;
  int32_t process = 0;
  int32_t pid = 0;
  Secret secret{};
  cpu_set_t cores{};
};
struct Welcome {
  uint32_t version = kVersion;
  int32_t num_cores = 0;
};
struct Introduction {
  int32_t process = 0;
  int32_t pid = 0;
};

constexpr size_t kDescriptors = 3;  // heap, pidfd, bell

Error system_error(const char* what) {
  return Unavailable("shared memory group: {}: got \"{}\" from the system", what,
                     std::strerror(errno));
}

std::string random_hex() {
  std::array<unsigned char, 16> bytes;
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw system_error("random name");
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

FileDescriptor duplicate(int fd) {
  FileDescriptor copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) throw system_error("descriptor");
  return copy;
}

FileDescriptor this_process() {
  FileDescriptor fd(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!fd) throw system_error("pidfd_open");
  return fd;
}

FileDescriptor new_bell() {
  FileDescriptor fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) throw system_error("eventfd");
  return fd;
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

FileDescriptor packet_socket() {
  FileDescriptor fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) throw system_error("socket");
  return fd;
}

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
  pollfd writable{socket, POLLOUT, 0};
  poll(&writable, 1, 1000);
  return sendmsg(socket, &header, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof message);
}

/// Takes one packet. Fills `descriptors` in the order sent; false when it is not such a message.
template <class Message>
bool receive_message(int socket, Message& message, std::vector<FileDescriptor>& descriptors) {
  iovec part{&message, sizeof message};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kDescriptors)];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  descriptors.clear();
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); got >= 0 && c; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  return got == static_cast<ssize_t>(sizeof message) && !(header.msg_flags & MSG_CTRUNC);
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

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30));
}

/// The first process: waits for the others and tells each about all.
class Hub {
 public:
  Hub(const HostExchangeOptions& options, HostExchange& out)
      : options_(options), out_(out), members_(options.names.size()) {}

  void run() {
    const std::string name = random_hex(), secret = random_hex();
    secret_ = to_secret(secret);
    const Address address = abstract_address(name);
    listener_ = packet_socket();
    if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address.name), address.bytes) ||
        listen(listener_.get(), 128))
      throw system_error("listen");
    options_.store->insert(options_.key, name + secret);
    const auto deadline = Clock::now() + options_.timeout;
    while (!missing().empty()) {
      wait_for_events(deadline);
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

  void wait_for_events(Clock::time_point deadline) {
    std::vector<pollfd> events{{listener_.get(), POLLIN, 0}};
    for (const FileDescriptor& stranger : strangers_) events.push_back({stranger.get(), POLLIN, 0});
    if (poll(events.data(), events.size(), milliseconds_until(deadline)) == 0 &&
        Clock::now() >= deadline)
      throw DeadlineExceeded("shared memory group: nothing from {} in {} ms",
                             fmt::join(missing(), ", "), options_.timeout.count());
  }

  void accept_all() {
    while (true) {
      FileDescriptor client(
          accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!client) return;
      if (same_user(client.get())) strangers_.push_back(std::move(client));
    }
  }

  void hear_all() {
    std::vector<FileDescriptor> silent;
    for (FileDescriptor& stranger : strangers_) {
      Hello hello;
      std::vector<FileDescriptor> descriptors;
      errno = 0;
      if (receive_message(stranger.get(), hello, descriptors)) {
        admit(hello, std::move(descriptors), std::move(stranger));
      } else if (errno == EAGAIN) {
        silent.push_back(std::move(stranger));
      }
    }
    strangers_ = std::move(silent);
  }

  void admit(const Hello& hello, std::vector<FileDescriptor> descriptors, FileDescriptor client) {
    const auto p = static_cast<size_t>(hello.process);
    if (hello.version != kVersion || hello.secret != secret_ || hello.process < 1 ||
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
      bool sent = send_message(members_[p].get(), Welcome{.num_cores = out_.num_cores},
                               std::span(&control, 1));
      for (size_t q = 0; sent && q < members_.size(); ++q) {
        const HostExchange::Peer& peer = out_.peers[q];
        const Descriptors descriptors = descriptors_of(peer);
        sent = send_message(members_[p].get(),
                            Introduction{.process = static_cast<int32_t>(q), .pid = peer.pid},
                            descriptors);
      }
      if (!sent) throw Unavailable("shared memory group: {} has gone", options_.names[p]);
    }
  }

  const HostExchangeOptions& options_;
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
  Guest(const HostExchangeOptions& options, HostExchange& out)
      : options_(options), out_(out), deadline_(Clock::now() + options.timeout) {}

  void run() {
    const std::string where = options_.store->get(options_.key, options_.timeout);
    if (where.size() != 64) throw Internal("shared memory group: got \"{}\" for an address", where);
    const Address address = abstract_address(where.substr(0, 32));
    socket_ = packet_socket();
    if (connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address.name), address.bytes))
      throw system_error("connect to the first process of the host");
    const auto mine = static_cast<size_t>(options_.process);
    const Descriptors descriptors = descriptors_of(out_.peers[mine]);
    const Hello hello{.process = options_.process,
                      .pid = getpid(),
                      .secret = to_secret(where.substr(32)),
                      .cores = my_cores()};
    if (!send_message(socket_.get(), hello, descriptors)) throw system_error("send");
    receive_all();
  }

 private:
  void receive_all() {
    Welcome welcome;
    next(welcome, 1);
    out_.control = SharedFile(std::move(received_[0]));
    out_.num_cores = welcome.num_cores;
    for (size_t q = 0; q < out_.peers.size(); ++q) {
      Introduction peer;
      next(peer, kDescriptors);
      if (peer.process != static_cast<int32_t>(q)) throw Internal("shared memory group: bad order");
      if (peer.process == options_.process) continue;
      out_.peers[q] = to_peer(received_, peer.pid);
    }
  }

  template <class Message>
  void next(Message& message, size_t num_descriptors) {
    pollfd readable{socket_.get(), POLLIN, 0};
    if (poll(&readable, 1, milliseconds_until(deadline_)) == 0)
      throw DeadlineExceeded("shared memory group: not all of {} came in {} ms",
                             fmt::join(options_.names, ", "), options_.timeout.count());
    if (!receive_message(socket_.get(), message, received_) || received_.size() != num_descriptors)
      throw Unavailable("shared memory group: {} has gone", options_.names.front());
  }

  const HostExchangeOptions& options_;
  HostExchange& out_;
  const Clock::time_point deadline_;
  FileDescriptor socket_;
  std::vector<FileDescriptor> received_;
};

}  // namespace

HostExchange exchange_on_host(const HostExchangeOptions& options, const SharedFile& heap) {
  HostExchange out;
  out.peers.resize(options.names.size());
  out.peers[static_cast<size_t>(options.process)] = {SharedFile(duplicate(heap.fd())),
                                                     this_process(), new_bell(), getpid()};
  if (options.names.size() == 1) {
    out.control = SharedFile::create("cohort-group");
    const cpu_set_t cores = my_cores();
    out.num_cores = CPU_COUNT(&cores);
  } else if (options.process == 0) {
    out.control = SharedFile::create("cohort-group");
    Hub(options, out).run();
  } else {
    Guest(options, out).run();
  }
  return out;
}

}  // namespace cohort::distribute
