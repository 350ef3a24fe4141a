#include "cohort/cluster/acceptor.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

constexpr std::chrono::hours kForEver(1);
constexpr int kDeadlineMs = 60'000;

// An acceptor whose server keeps what it gets.
class AcceptorTest : public ::testing::Test {
 protected:
  void start(size_t max_strangers, std::chrono::milliseconds patience = kForEver) {
    acceptor_ = std::make_unique<Acceptor>(Acceptor::Options{
        .address = {"127.0.0.1", 0}, .max_strangers = max_strangers, .patience = patience});
    acceptor_->start([this](int connection) {
      const std::lock_guard lock(mutex_);
      taken_.emplace_back(connection);
      changed_.notify_all();
    });
  }
  void TearDown() override { acceptor_.reset(); }

  // A client that comes from this address of this host.
  Descriptor client(const char* from = "127.0.0.1") const {
    Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in own{.sin_family = AF_INET};
    inet_pton(AF_INET, from, &own.sin_addr);
    sockaddr_in to{.sin_family = AF_INET,
                   .sin_port = htons(static_cast<uint16_t>(acceptor_->port()))};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    EXPECT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&own), sizeof own), 0);
    EXPECT_EQ(connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    return socket;
  }
  std::string name_of(const Descriptor& client) const {
    sockaddr_in own{};
    socklen_t size = sizeof own;
    getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &size);
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &own.sin_addr, host, sizeof host);
    return std::string(host) + ":" + std::to_string(ntohs(own.sin_port));
  }
  void wait_until_taken(size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::milliseconds(kDeadlineMs),
                                  [&] { return taken_.size() >= count; }));
  }

  std::unique_ptr<Acceptor> acceptor_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Descriptor> taken_;  // guarded by mutex_
};

// Waits for the server's end of it.
bool ends(const Descriptor& client) {
  pollfd readable{client.get(), POLLIN, 0};
  char byte;
  return poll(&readable, 1, kDeadlineMs) == 1 && recv(client.get(), &byte, 1, 0) <= 0;
}
bool is_open(const Descriptor& client) {
  char byte;
  return recv(client.get(), &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

TEST_F(AcceptorTest, ServerGetsTheConnections) {
  start(8);
  const Descriptor caller = client();
  wait_until_taken(1);
  ASSERT_EQ(send(caller.get(), "hello", 5, 0), 5);
  char bytes[5];
  pollfd readable{taken_[0].get(), POLLIN, 0};
  ASSERT_EQ(poll(&readable, 1, kDeadlineMs), 1);
  EXPECT_EQ(recv(taken_[0].get(), bytes, 5, 0), 5);
}

TEST_F(AcceptorTest, OldestStrangerMakesWay) {
  start(3);
  std::vector<Descriptor> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(client());
    wait_until_taken(clients.size());
  }
  EXPECT_TRUE(ends(clients[0]));
  EXPECT_TRUE(ends(clients[1]));
  for (int i = 2; i < 5; ++i) EXPECT_TRUE(is_open(clients[i])) << i;
}

TEST_F(AcceptorTest, FullestSourceMakesWayForTheOthers) {
  start(4);
  std::vector<Descriptor> clients;
  clients.push_back(client("127.0.0.2"));
  wait_until_taken(1);
  for (int i = 0; i < 6; ++i) {
    clients.push_back(client("127.0.0.3"));
    wait_until_taken(clients.size());
  }
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(ends(clients[i])) << i;
  EXPECT_TRUE(is_open(clients[0])) << "the oldest, but from where no other comes";
  for (int i = 4; i <= 6; ++i) EXPECT_TRUE(is_open(clients[i])) << i;
}

TEST_F(AcceptorTest, AdmittedPeersStay) {
  start(2);
  const Descriptor first = client();
  wait_until_taken(1);
  acceptor_->admit(name_of(first));
  std::vector<Descriptor> others;
  for (size_t i = 0; i < 5; ++i) {
    others.push_back(client());
    wait_until_taken(i + 2);
  }
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ends(others[i])) << i;
  EXPECT_TRUE(is_open(first));
}

TEST_F(AcceptorTest, StrangersHaveSomeTime) {
  start(8, std::chrono::milliseconds(200));
  const Descriptor stranger = client();
  wait_until_taken(1);
  EXPECT_TRUE(ends(stranger));
}

TEST_F(AcceptorTest, ConnectionThatTheServerEndsMakesRoom) {
  start(2);
  const Descriptor first = client();
  wait_until_taken(1);
  std::vector<Descriptor> others;
  for (size_t i = 0; i < 20; ++i) {
    others.push_back(client());
    wait_until_taken(i + 2);
    const std::lock_guard lock(mutex_);
    shutdown(taken_.back().get(), SHUT_RDWR);
    taken_.back() = Descriptor();
    EXPECT_TRUE(ends(others.back()));
  }
  EXPECT_TRUE(is_open(first));
}

// Callers in another process, and a server that is slow to close what has ended.
TEST_F(AcceptorTest, SomeDescriptorsAreLeftToTheProcess) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  start(1000);
  const rlimit low{static_cast<rlim_t>(Descriptor(dup(0)).get()) + 100, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const pid_t callers = fork();
  if (callers == 0) {
    setrlimit(RLIMIT_NOFILE, &before);
    for (int i = 0; i < 300; ++i) client().release();
    while (true) pause();
  }
  wait_until_taken(30);
  std::vector<Descriptor> needed;
  for (int i = 0; i < 15; ++i) {
    needed.emplace_back(dup(0));
    EXPECT_TRUE(needed.back()) << i << ": " << std::strerror(errno);
  }
  kill(callers, SIGKILL);
  waitpid(callers, nullptr, 0);
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(AcceptorTest, StopEndsStrangersAndFreesThePort) {
  start(8);
  const Descriptor stranger = client();
  wait_until_taken(1);
  const int port = acceptor_->port();
  acceptor_->stop();
  EXPECT_TRUE(ends(stranger));
  const Acceptor again({.address = {"127.0.0.1", port}});
  EXPECT_EQ(again.port(), port);
  cohort::testing::expect_error(Code::kAlreadyExists, {"in use", std::to_string(port)}, [&] {
    Acceptor({.address = {"127.0.0.1", port}});
  });
}

TEST_F(AcceptorTest, PeersOfIpv6AreKnownByName) {
  std::unique_ptr<Acceptor> six;
  try {
    six = std::make_unique<Acceptor>(
        Acceptor::Options{.address = {"::1", 0}, .max_strangers = 1, .patience = kForEver});
  } catch (const Error& error) {
    GTEST_SKIP() << "no IPv6 here: " << error.what();
  }
  std::atomic<int> taken = 0;
  six->start([&](int connection) {
    taken_.emplace_back(connection);
    taken.fetch_add(1);
    taken.notify_all();
  });
  const auto call = [&] {
    Descriptor socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 to{.sin6_family = AF_INET6,
                    .sin6_port = htons(static_cast<uint16_t>(six->port()))};
    to.sin6_addr = IN6ADDR_LOOPBACK_INIT;
    const int before = taken.load();
    EXPECT_EQ(connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    taken.wait(before);
    return socket;
  };
  const Descriptor first = call();
  sockaddr_in6 own{};
  socklen_t size = sizeof own;
  getsockname(first.get(), reinterpret_cast<sockaddr*>(&own), &size);
  six->admit("[::1]:" + std::to_string(ntohs(own.sin6_port)));
  const Descriptor second = call(), third = call();
  EXPECT_TRUE(ends(second));
  EXPECT_TRUE(is_open(first));
  six.reset();
}

}  // namespace
}  // namespace cohort::cluster
