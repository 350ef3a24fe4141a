#include "cohort/distribute/transport/shared_connection.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "cohort/core/error.h"
#include "cohort/core/system.h"
#include "cohort/distribute/transport/random_hex.h"

namespace cohort::distribute {
namespace {

constexpr size_t kRingBytes = size_t{1} << 20;
constexpr size_t kHeadBytes = size_t{4} << 10;
constexpr size_t kRingFileBytes = kHeadBytes + 2 * kRingBytes;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

/// One direction. Bytes are counted from the beginning of the connection.
struct Ring {
  alignas(64) std::atomic<uint64_t> written;
  alignas(64) std::atomic<uint64_t> taken;
  alignas(64) std::atomic<uint32_t> reader_sleeps;
  alignas(64) std::atomic<uint32_t> writer_waits;
};
static_assert(2 * sizeof(Ring) <= kHeadBytes && std::atomic<uint64_t>::is_always_lock_free);

struct LocalAddress {
  sockaddr_un address{};
  socklen_t bytes = 0;
};

LocalAddress local_address(const std::string& name) {
  LocalAddress abstract;
  abstract.address.sun_family = AF_UNIX;
  const std::string path = "cohort-" + name;
  path.copy(abstract.address.sun_path + 1, sizeof abstract.address.sun_path - 1);
  abstract.bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + path.size());
  return abstract;
}

FileDescriptor make_local_socket() {
  FileDescriptor made(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made) throw system_error("messages: socket", errno);
  return made;
}

class SharedConnection final : public Connection {
 public:
  SharedConnection(FileDescriptor socket, Side side) : socket_(std::move(socket)), side_(side) {
    if (side_ == Side::kCaller) hand_over();
  }
  ~SharedConnection() override {
    if (memory_) munmap(memory_, kRingFileBytes);
  }

  size_t try_write(std::span<const iovec> parts) override {
    if (!memory_ && !take_over()) return 0;
    Ring& ring = ring_to_peer();
    const uint64_t at = ring.written.load(std::memory_order_relaxed);
    size_t room = room_of(ring, at);
    if (room == 0) {  // the peer rings when it has taken something since
      ring.writer_waits.store(1);
      room = room_of(ring, at);
      if (room == 0) return 0;
      ring.writer_waits.store(0);
    }
    size_t copied = 0;
    for (const iovec& part : parts) {
      const size_t bytes = std::min(part.iov_len, room - copied);
      copy_in(data_to_peer(), at + copied, static_cast<const char*>(part.iov_base), bytes);
      copied += bytes;
    }
    ring.written.store(at + copied);
    if (ring.reader_sleeps.load() != 0 && ring.reader_sleeps.exchange(0) != 0) wake_peer();
    return copied;
  }

  size_t try_read(char* to, size_t bytes) override {
    if (!memory_ && !take_over()) return 0;
    Ring& ring = ring_from_peer();
    size_t there = num_unread();
    if (there == 0) {
      const bool closed = hear_rings();
      ring.reader_sleeps.store(1);
      there = num_unread();
      if (there == 0 && closed) throw Unavailable("it closed the connection");
      if (there == 0) return 0;
      ring.reader_sleeps.store(0);
    }
    const uint64_t at = ring.taken.load(std::memory_order_relaxed);
    const size_t taken = std::min(bytes, there);
    copy_out(to, data_from_peer(), at, taken);
    ring.taken.store(at + taken);
    if (ring.writer_waits.load() != 0 && ring.writer_waits.exchange(0) != 0) wake_peer();
    return taken;
  }

  /// The peer rings for one that sleeps alone.
  bool has_more() const override { return memory_ && ring_from_peer().reader_sleeps.load() == 0; }
  bool tells_room() const override { return false; }
  int descriptor() const override { return socket_.get(); }
  std::string peer_identity() const override { return kPlainIdentity; }
  void finish() override { shutdown(socket_.get(), SHUT_WR); }

 private:
  Ring& ring(Side from) const {
    return reinterpret_cast<Ring*>(memory_)[from == Side::kCaller ? 0 : 1];
  }
  char* data(Side from) const {
    return memory_ + kHeadBytes + (from == Side::kCaller ? 0 : kRingBytes);
  }
  Side other() const { return side_ == Side::kCaller ? Side::kListener : Side::kCaller; }
  Ring& ring_to_peer() const { return ring(side_); }
  Ring& ring_from_peer() const { return ring(other()); }
  char* data_to_peer() const { return data(side_); }
  const char* data_from_peer() const { return data(other()); }

  // What the peer writes there is not to be trusted.
  static size_t room_of(const Ring& ring, uint64_t written) {
    const uint64_t used = written - ring.taken.load();
    if (used > kRingBytes) throw DataLoss("got a bad place in shared memory");
    return kRingBytes - used;
  }
  size_t num_unread() const {
    const Ring& ring = ring_from_peer();
    const uint64_t there = ring.written.load() - ring.taken.load(std::memory_order_relaxed);
    if (there > kRingBytes) throw DataLoss("got a bad place in shared memory");
    return there;
  }

  static void copy_in(char* ring, uint64_t at, const char* from, size_t bytes) {
    const size_t begin = at % kRingBytes, first = std::min(bytes, kRingBytes - begin);
    if (first > 0) std::memcpy(ring + begin, from, first);
    if (bytes > first) std::memcpy(ring, from + first, bytes - first);
  }
  static void copy_out(char* to, const char* ring, uint64_t at, size_t bytes) {
    const size_t begin = at % kRingBytes, first = std::min(bytes, kRingBytes - begin);
    if (first > 0) std::memcpy(to, ring + begin, first);
    if (bytes > first) std::memcpy(to + first, ring, bytes - first);
  }

  void wake_peer() const {
    // Where there is no room, it has not even heard the last ones.
    if (send(socket_.get(), "!", 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EINTR)
      throw Unavailable("{}", std::strerror(errno));
  }

  /// Whether the peer has closed the socket.
  bool hear_rings() const {
    std::array<char, 64> rings;
    while (true) {
      const ssize_t got = recv(socket_.get(), rings.data(), rings.size(), 0);
      if (got == 0) return true;
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno != EAGAIN;
      if (static_cast<size_t>(got) < rings.size()) return false;
    }
  }

  void hand_over() {
    const FileDescriptor file(memfd_create("cohort-messages", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file || ftruncate(file.get(), kRingFileBytes) != 0 ||
        fcntl(file.get(), F_ADD_SEALS, kSeals) != 0)
      throw system_error("messages: shared memory", errno);
    map(file);
    for (const Side from : {Side::kCaller, Side::kListener}) ring(from).reader_sleeps = 1;
    char byte = '!';
    iovec part{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    const int descriptor = file.get();
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
    if (sendmsg(socket_.get(), &message, MSG_NOSIGNAL) != 1)
      throw Unavailable("{}", std::strerror(errno));
  }

  /// False: the memory has not come yet.
  bool take_over() {
    char byte = 0;
    iovec part{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) throw Unavailable("it closed the connection");
    const cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (!rights || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS)
      throw DataLoss("got no shared memory");
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(rights), sizeof descriptor);
    const FileDescriptor file(descriptor);
    struct stat info {};
    if (fstat(file.get(), &info) != 0 || info.st_size != static_cast<off_t>(kRingFileBytes) ||
        fcntl(file.get(), F_GET_SEALS) != kSeals)
      throw DataLoss("got other shared memory than its own");
    map(file);
    return true;
  }

  void map(const FileDescriptor& file) {
    void* memory = mmap(nullptr, kRingFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (memory == MAP_FAILED) throw system_error("messages: shared memory", errno);
    memory_ = static_cast<char*>(memory);
  }

  const FileDescriptor socket_;
  const Side side_;
  char* memory_ = nullptr;
};

}  // namespace

LocalListener listen_locally() {
  LocalListener listener{make_local_socket(), random_hex(16)};
  const LocalAddress at = local_address(listener.name);
  if (bind(listener.socket.get(), reinterpret_cast<const sockaddr*>(&at.address), at.bytes) != 0 ||
      listen(listener.socket.get(), 128) != 0)
    throw system_error("messages: local socket", errno);
  return listener;
}

FileDescriptor connect_locally(const std::string& name) {
  FileDescriptor made = make_local_socket();
  const LocalAddress at = local_address(name);
  if (connect(made.get(), reinterpret_cast<const sockaddr*>(&at.address), at.bytes) != 0) return {};
  return made;
}

std::unique_ptr<Connection> make_shared_connection(FileDescriptor socket, Side side) {
  return std::make_unique<SharedConnection>(std::move(socket), side);
}

}  // namespace cohort::distribute
