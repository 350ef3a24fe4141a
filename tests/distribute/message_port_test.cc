#include "cohort/distribute/messages/message_port.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "cohort/distribute/transport/frame.h"
#include "cohort/distribute/transport/tcp_socket.h"
#include "cohort/distribute/transport/tls_connection.h"
#include "tests/support/built_with.h"
#include "tests/support/expect_error.h"
#include "tests/support/tls_keys.h"

namespace cohort::distribute {
namespace {

using std::chrono::milliseconds, std::chrono::seconds;
using testing::expect_error;
constexpr seconds kPatience(60);

using Request = std::shared_ptr<MessageRequest>;

/// Answers by a function.
class Handler : public MessageHandler {
 public:
  explicit Handler(std::function<void(const Request&)> answer) : answer_(std::move(answer)) {}
  void handle(const Request& request) override { answer_(request); }
  void left(const MessagePeer& peer, const Error& why) override {
    const std::lock_guard lock(mutex_);
    left_ = peer.name() + ": " + why.what();
    changed_.notify_all();
  }
  std::string wait_until_left() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [this] { return !left_.empty(); });
    return left_;
  }

 private:
  const std::function<void(const Request&)> answer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string left_;
};

std::shared_ptr<Handler> echo() {
  return std::make_shared<Handler>(
      [](const Request& request) { request->reply(request->payload(), request); });
}

/// Keeps requests until it is told to answer them.
class Keeper : public MessageHandler {
 public:
  void handle(const Request& request) override {
    const std::lock_guard lock(mutex_);
    kept_.push_back(request);
    ++count_;
    changed_.notify_all();
  }
  void wait_for(int count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, kPatience, [&] { return count_ >= count; }));
  }
  int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  std::vector<Request> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(kept_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Request> kept_;
  int count_ = 0;
};

MessagePortOptions server_options() {
  return {.name = "server", .secret = "secret", .address = "127.0.0.1"};
}
MessagePortOptions client_options() { return {.name = "client", .secret = "secret"}; }

std::vector<char> pattern(size_t bytes, unsigned seed) {
  std::vector<char> data(bytes);
  for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<char>((i * 2654435761u + seed) >> 13);
  return data;
}

/// Sends `bytes` and expects them back.
void expect_echo(MessagePeer& peer, size_t bytes, unsigned seed) {
  const std::vector<char> data = pattern(bytes, seed);
  std::vector<char> reply(bytes);
  EXPECT_EQ(peer.call(7, data, reply).wait(kPatience), bytes);
  EXPECT_TRUE(reply == data) << bytes << " bytes";
}

void run_many_calls(MessagePortOptions server, MessagePortOptions client) {
  MessagePort here(std::move(server), echo());
  MessagePort there(std::move(client));
  const auto peer = there.connect(here.address(), kPatience);
  EXPECT_EQ(peer->name(), "server");
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::vector<std::vector<char>> data, replies;
      std::vector<MessageCall> calls;
      const std::vector<size_t> sizes{0, 1, 1000, kMaxFrameBytes, kMaxFrameBytes + 1, 1 << 20};
      for (unsigned i = 0; i < 24; ++i) {
        data.push_back(pattern(sizes[(i + t) % sizes.size()], i + 100 * t));
        replies.emplace_back(data.back().size());
      }
      for (size_t i = 0; i < data.size(); ++i) calls.push_back(peer->call(3, data[i], replies[i]));
      for (size_t i = 0; i < data.size(); ++i) {
        EXPECT_EQ(calls[i].wait(kPatience), data[i].size());
        EXPECT_TRUE(data[i] == replies[i]) << i;
      }
    });
  for (std::thread& thread : threads) thread.join();
}

TEST(MessagePortConcurrentTest, ManyCallsInFlightFromManyThreads) {
  for (const bool there : {false, true})
    for (const bool here : {false, true}) {
      MessagePortOptions server = server_options(), client = client_options();
      server.shared_memory = here;
      client.shared_memory = there;
      run_many_calls(server, client);
    }
}

TEST(MessagePortConcurrentTest, ThroughTls) {
  if (!testing::built_with::tls) GTEST_SKIP() << "this build has no OpenSSL";
  if (!test::TlsKeyFolder::possible()) GTEST_SKIP() << "there is no openssl command here";
  test::TlsKeyFolder folder;
  const auto connections = make_tls_connections(cluster::read_tls_keys(folder.make("both")));
  MessagePortOptions server = server_options(), client = client_options();
  server.connections = client.connections = connections;
  run_many_calls(server, client);
  const MessagePort plain(server_options(), echo());
  MessagePort there(client);
  EXPECT_THROW(there.connect(plain.address(), seconds(20)), Error);
}

TEST(MessagePortConcurrentTest, FailuresAreTypedAndEndOneCall) {
  MessagePortOptions options = server_options();
  options.max_request_bytes = 1000;
  MessagePort server(options, std::make_shared<Handler>([](const Request& request) {
                       if (request->method() == 1) throw NotFound("no table 17");
                       if (request->method() == 2) return;  // dropped
                       request->reply(std::string(100, 'x'));
                     }));
  MessagePort client(client_options());
  const auto peer = client.connect(server.address(), kPatience);
  std::vector<char> data(10), reply(100);
  expect_error(Code::kNotFound, {"no table 17"},
               [&] { peer->call(1, data, reply).wait(kPatience); });
  expect_error(Code::kInternal, {"unanswered"},
               [&] { peer->call(2, data, reply).wait(kPatience); });
  expect_error(Code::kInvalidArgument, {"100 bytes"},
               [&] { peer->call(3, data, std::span(reply).first(99)).wait(kPatience); });
  const std::vector<char> large(1 << 20);
  expect_error(Code::kInvalidArgument, {"1048576"},
               [&] { peer->call(3, large, reply).wait(kPatience); });
  EXPECT_EQ(peer->call(3, data, reply).wait(kPatience), 100u);
  EXPECT_EQ(reply, std::vector<char>(100, 'x'));

  // One that serves nobody can be called all the same.
  MessagePortOptions silent = server_options();
  const MessagePort nobody(silent);
  const auto other = client.connect(nobody.address(), kPatience);
  expect_error(Code::kUnimplemented, {"takes no requests"},
               [&] { other->call(3, data, reply).wait(kPatience); });
}

TEST(MessagePortConcurrentTest, APeerThatGoesEndsItsOwnCallsAlone) {
  MessagePort lasting(server_options(), echo());
  const auto keeper = std::make_shared<Keeper>();
  auto going = std::make_unique<MessagePort>(server_options(), keeper);
  MessagePort client(client_options());
  const auto first = client.connect(lasting.address(), kPatience);
  const auto second = client.connect(going->address(), kPatience);
  const std::vector<char> data = pattern(10, 1);
  std::vector<char> reply(10);
  MessageCall pending = second->call(1, data, reply);
  keeper->wait_for(1);
  going.reset();
  expect_error(Code::kUnavailable, {"is gone"}, [&] { pending.wait(kPatience); });
  expect_error(Code::kUnavailable, {"is gone"},
               [&] { second->call(1, data, reply).wait(kPatience); });
  keeper->take();  // answers to nobody
  expect_echo(*first, 100000, 1);
  // It comes back, at another port.
  const MessagePort again(server_options(), echo());
  const auto third = client.connect(again.address(), kPatience);
  expect_echo(*third, 100000, 2);
  third->close();
  expect_error(Code::kUnavailable, {"is gone"}, [&] { third->call(1, {}, reply); });
  expect_echo(*first, 100000, 3);
}

TEST(MessagePortConcurrentTest, AServerHearsThatAClientHasGone) {
  const auto handler = echo();
  const MessagePort server(server_options(), handler);
  {
    MessagePort client(client_options());
    expect_echo(*client.connect(server.address(), kPatience), 10, 1);
  }
  EXPECT_EQ(handler->wait_until_left().substr(0, 8), "client: ");
}

TEST(MessagePortConcurrentTest, ALateReplyTouchesNothing) {
  const auto keeper = std::make_shared<Keeper>();
  MessagePort server(server_options(), keeper);
  MessagePort client(client_options());
  const auto peer = client.connect(server.address(), kPatience);
  std::vector<char> late(1 << 20, 'a'), reply(3);
  expect_error(Code::kDeadlineExceeded, {"50 ms"},
               [&] { peer->call(1, {}, late).wait(milliseconds(50)); });
  keeper->wait_for(1);
  for (const Request& request : keeper->take()) request->reply(std::string(1 << 20, 'b'));
  MessageCall next = peer->call(1, {}, reply);
  keeper->wait_for(2);
  for (const Request& request : keeper->take()) request->reply("yes");
  EXPECT_EQ(next.wait(kPatience), 3u);
  EXPECT_EQ(late, std::vector<char>(1 << 20, 'a'));
}

TEST(MessagePortConcurrentTest, WhoHoldsTooMuchReadsNoMore) {
  const auto keeper = std::make_shared<Keeper>();
  MessagePortOptions options = server_options();
  constexpr size_t kBytes = size_t{1} << 20;
  options.max_held_bytes = 3 * kBytes;
  MessagePort server(options, keeper);
  MessagePort client(client_options());
  const auto peer = client.connect(server.address(), kPatience);
  const auto other = client.connect(server.address(), kPatience);
  const std::vector<char> data = pattern(kBytes, 5);
  std::vector<char> reply(1);
  std::vector<MessageCall> calls;
  for (int i = 0; i < 20; ++i) calls.push_back(peer->call(1, data, reply));
  keeper->wait_for(2);
  MessageCall beside = other->call(2, {}, reply);  // another peer is served
  keeper->wait_for(3);
  for (int answered = 0; answered < 21;) {
    std::vector<Request> kept = keeper->take();
    EXPECT_LE(kept.size(), 4u);
    for (const Request& request : kept) request->reply("!"), ++answered;
    kept.clear();
    if (answered < 21) keeper->wait_for(answered + 1);
  }
  for (MessageCall& call : calls) EXPECT_EQ(call.wait(kPatience), 1u);
  EXPECT_EQ(beside.wait(kPatience), 1u);
}

TEST(MessagePortConcurrentTest, WhoDoesNotTakeARequestIsGivenUp) {
  const auto keeper = std::make_shared<Keeper>();
  MessagePortOptions options = server_options();
  options.max_held_bytes = 1;
  MessagePort server(options, keeper);
  MessagePort client(client_options());
  const auto peer = client.connect(server.address(), kPatience);
  const std::vector<char> data(size_t{64} << 20);
  std::vector<char> reply(1);
  MessageCall first = peer->call(1, std::span(data).first(1000), reply);
  keeper->wait_for(1);
  MessageCall second = peer->call(1, data, reply);  // more than the buffers of the system hold
  expect_error(Code::kDeadlineExceeded, {"has not taken"}, [&] { second.wait(milliseconds(100)); });
  expect_error(Code::kDeadlineExceeded, {"has not taken"}, [&] { first.wait(kPatience); });
  expect_error(Code::kUnavailable, {"is gone"}, [&] { peer->call(1, {}, reply); });
}

TEST(MessagePortConcurrentTest, BothEndsCanCall) {
  std::mutex mutex;
  std::thread other;  // the port's own must not wait
  MessagePort server(server_options(), std::make_shared<Handler>([&](const Request& request) {
                       const std::lock_guard lock(mutex);
                       other = std::thread([request] {
                         std::vector<char> reply(5);
                         request->peer()->call(1, request->payload(), reply).wait(kPatience);
                         request->reply(std::string(reply.data(), reply.size()) + "!");
                       });
                     }));
  MessagePort client(client_options(), std::make_shared<Handler>([](const Request& request) {
                       std::string text(request->payload().data(), request->payload().size());
                       for (char& c : text) c = static_cast<char>(std::toupper(c));
                       request->reply(std::move(text));
                     }));
  const auto peer = client.connect(server.address(), kPatience);
  const std::string hello = "hello";
  std::vector<char> reply(6);
  peer->call(1, hello, reply).wait(kPatience);
  EXPECT_EQ(std::string(reply.data(), 6), "HELLO!");
  const std::lock_guard lock(mutex);
  other.join();
}

TEST(MessagePortConcurrentTest, ClosingEndsWhoeverWaits) {
  const auto keeper = std::make_shared<Keeper>();
  const MessagePort server(server_options(), keeper);
  auto client = std::make_unique<MessagePort>(client_options());
  const auto peer = client->connect(server.address(), kPatience);
  std::vector<char> reply(1);
  MessageCall call = peer->call(1, {}, reply);
  std::thread waiter(
      [&] { expect_error(Code::kCancelled, {"closed"}, [&] { call.wait(kPatience); }); });
  keeper->wait_for(1);
  client.reset();
  waiter.join();
  expect_error(Code::kUnavailable, {"gone"}, [&] { peer->call(1, {}, reply); });
  keeper->take();
}

TEST(MessagePortConcurrentTest, WhoIsRefusedHearsWhy) {
  const MessagePort server(server_options(), echo());
  MessagePortOptions options = client_options();
  options.secret = "another";
  MessagePort client(options);
  expect_error(Code::kPermissionDenied, {"client has another secret than server"},
               [&] { client.connect(server.address(), kPatience); });
  expect_error(Code::kInvalidArgument, {"host:port"}, [&] { client.connect("here", kPatience); });
  std::string nobody;
  { nobody = MessagePort(server_options()).address(); }
  expect_error(Code::kUnavailable, {nobody}, [&] { client.connect(nobody, kPatience); });
  expect_error(Code::kInvalidArgument, {"a name of 0"}, [&] { MessagePort port({}); });
  expect_error(Code::kInvalidArgument, {"a secret of 33"},
               [&] { MessagePort port({.name = "x", .secret = std::string(33, 's')}); });
}

/// A program that connects and sends what it likes.
class Stranger {
 public:
  explicit Stranger(const std::string& address) {
    const size_t colon = address.rfind(':');
    const AddressList list(address.substr(0, colon), address.substr(colon + 1), false);
    socket_ = FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(socket_.get(), list.list->ai_addr, list.list->ai_addrlen) != 0)
      throw Unavailable("stranger: {}", std::strerror(errno));
  }
  void send(const void* data, size_t bytes) {
    static_cast<void>(!::send(socket_.get(), data, bytes, MSG_NOSIGNAL));
  }
  static constexpr uint32_t kHello = 272;
  void send_hello() {
    const FrameHeader frame{.kind = FrameKind::kHello, .bytes = kHello};
    char hello[kHello] = "secret";
    std::strcpy(hello + 32, "stranger");
    send(&frame, sizeof frame);
    send(hello, sizeof hello);
  }

 private:
  FileDescriptor socket_;
};

TEST(MessagePortConcurrentTest, StrangersAndBadFramesHarmNobodyElse) {
  MessagePortOptions options = server_options();
  options.max_request_bytes = 1 << 20;
  options.max_held_bytes = 4 << 20;
  MessagePort server(options, echo());
  MessagePort client(client_options());
  const auto peer = client.connect(server.address(), kPatience);
  std::mt19937 random(17);
  const auto any = [&](uint32_t below) {
    return std::uniform_int_distribution<uint32_t>(0, below - 1)(random);
  };
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    Stranger stranger(server.address());
    if (round % 4 > 0) stranger.send_hello();
    for (uint32_t i = any(6); i > 0; --i) {
      FrameHeader frame{
          .kind = static_cast<FrameKind>(any(13)),
          .collective = any(3),
          .call = any(3),
          .part = any(3),
          .bytes = any(5) == 0 ? any(UINT32_MAX) : any(300),
          .offset = any(3) == 0 ? (uint64_t{any(UINT32_MAX)} << any(33)) : any(2) * 50};
      if (any(20) == 0) frame.magic = any(UINT32_MAX);
      stranger.send(&frame, sizeof frame);
      const std::vector<char> data(std::min<size_t>(frame.bytes, 1000), 'z');
      stranger.send(data.data(), data.size());
    }
    if (round % 10 == 0) expect_echo(*peer, 50000, static_cast<unsigned>(round));
  }
  expect_echo(*peer, 500000, 1);
  expect_echo(*client.connect(server.address(), kPatience), 1000, 2);
}

}  // namespace
}  // namespace cohort::distribute
