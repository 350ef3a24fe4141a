#include "cohort/cluster/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

using std::chrono::milliseconds;

constexpr int kAtOnce = 32;              // connections, before the others are looked after
constexpr milliseconds kWhenFull(10);    // between so many, where each ends another
constexpr milliseconds kWhenShort(100);  // where there are no descriptors
constexpr rlim_t kReserved = 64;         // descriptors that strangers do not get

rlim_t descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  return std::min<rlim_t>(limit.rlim_cur, 1 << 20);
}

}  // namespace

Acceptor::Acceptor(const Options& options)
    : options_(options),
      listener_(listen_at(options.address, port_)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw ResourceExhausted("server: no eventfd: {}", std::strerror(errno));
}

void Acceptor::start(Take take) {
  take_ = std::move(take);
  thread_ = std::thread([this] { run(); });
}

void Acceptor::stop() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    eventfd_write(wake_.get(), 1);
    thread_.join();
  }
  const std::lock_guard lock(mutex_);
  while (!strangers_.empty()) end(strangers_.begin());
  listener_.reset();
}

void Acceptor::admit(const std::string& peer) {
  const Address address = parse_address(peer);
  const std::string host = address.host.substr(0, address.host.find('%'));
  sockaddr_storage parsed{};
  auto& four = reinterpret_cast<sockaddr_in&>(parsed);
  auto& six = reinterpret_cast<sockaddr_in6&>(parsed);
  if (inet_pton(AF_INET, host.c_str(), &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    four.sin_port = htons(static_cast<uint16_t>(address.port));
  } else if (inet_pton(AF_INET6, host.c_str(), &six.sin6_addr) == 1) {
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(static_cast<uint16_t>(address.port));
  }
  const Source source = source_of(parsed);
  const std::lock_guard lock(mutex_);
  strangers_.remove_if([&](const Stranger& stranger) { return stranger.source == source; });
}

Acceptor::Source Acceptor::source_of(const sockaddr_storage& address) {
  Source source;
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    source.address[10] = source.address[11] = 0xff;
    std::memcpy(&source.address[12], &four.sin_addr, 4);
    source.port = ntohs(four.sin_port);
  } else {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
    std::memcpy(source.address.data(), &six.sin6_addr, 16);
    source.port = ntohs(six.sin6_port);
  }
  return source;
}

std::array<unsigned char, 16> Acceptor::network_of(const Source& source) {
  std::array<unsigned char, 16> network = source.address;
  const in6_addr& six = reinterpret_cast<const in6_addr&>(source.address);
  if (!IN6_IS_ADDR_V4MAPPED(&six)) std::fill(network.begin() + 8, network.end(), 0);
  return network;
}

void Acceptor::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    std::vector<pollfd> polled = {{wake_.get(), POLLIN, 0}};
    polled.push_back({Clock::now() < resume_ ? -1 : listener_.get(), POLLIN, 0});
    // The server's end of a connection shows on ours.
    for (const Stranger& stranger : strangers_) polled.push_back({stranger.watch.get(), 0, 0});
    const int timeout = milliseconds_to_wait();
    lock.unlock();
    poll(polled.data(), polled.size(), timeout);
    lock.lock();
    forget_ended();
    end_old();
    if (polled[1].revents == 0) continue;
    lock.unlock();
    accept_some();
    lock.lock();
  }
}

void Acceptor::accept_some() {
  for (int i = 0; i < kAtOnce && accept_one(); ++i) continue;
}

// False when there is none, or no more should come now.
bool Acceptor::accept_one() {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  Descriptor connection(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size,
                                SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!connection && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)) return false;
  Descriptor watch(connection ? fcntl(connection.get(), F_DUPFD_CLOEXEC, 0) : -1);
  const bool full = !watch || is_short_of_descriptors(std::max(connection.get(), watch.get()));
  {
    const std::lock_guard lock(mutex_);
    if (full) {
      drop_one();
      resume_ = Clock::now() + kWhenShort;
      return false;
    }
    strangers_.push_back({std::move(watch), source_of(address), Clock::now()});
    if (strangers_.size() > max_strangers()) forget_ended();
    if (strangers_.size() > max_strangers()) resume_ = Clock::now() + kWhenFull;
    while (strangers_.size() > max_strangers()) drop_one();
  }
  take_(connection.release());
  return true;
}

// Each takes two descriptors.
size_t Acceptor::max_strangers() const {
  return std::clamp<size_t>(descriptor_limit() / 8, 1, options_.max_strangers);
}

bool Acceptor::is_short_of_descriptors(int newest) const {
  // The system gives the lowest number that is free.
  const rlim_t limit = descriptor_limit();
  return static_cast<rlim_t>(newest) + std::min(kReserved, limit / 4) >= limit;
}

// The lock is held, as below.
void Acceptor::forget_ended() {
  strangers_.remove_if([](const Stranger& stranger) {
    pollfd polled{stranger.watch.get(), 0, 0};
    return poll(&polled, 1, 0) == 1;
  });
}

void Acceptor::drop_one() {
  std::map<std::array<unsigned char, 16>, size_t> counts;
  size_t most = 0;
  for (const Stranger& stranger : strangers_)
    most = std::max(most, ++counts[network_of(stranger.source)]);
  const auto oldest = std::find_if(
      strangers_.begin(), strangers_.end(),
      [&](const Stranger& stranger) { return counts.at(network_of(stranger.source)) == most; });
  if (oldest != strangers_.end()) end(oldest);
}

void Acceptor::end(Strangers::iterator stranger) {
  shutdown(stranger->watch.get(), SHUT_RDWR);  // the server hears it, and closes its own
  strangers_.erase(stranger);
}

void Acceptor::end_old() {
  while (!strangers_.empty() && Clock::now() - strangers_.front().since >= options_.patience)
    end(strangers_.begin());
}

int Acceptor::milliseconds_to_wait() const {
  auto until = Clock::time_point::max();
  if (!strangers_.empty()) until = strangers_.front().since + options_.patience;
  const auto now = Clock::now();
  if (now < resume_) until = std::min(until, resume_);
  if (until == Clock::time_point::max()) return -1;
  return static_cast<int>(
      std::max<int64_t>(0, std::chrono::ceil<milliseconds>(until - now).count()));
}

}  // namespace cohort::cluster
