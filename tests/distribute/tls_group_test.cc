#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <thread>

#include "cohort/core/runtime/module.h"
#include "cohort/distribute/process_group.h"
#include "cohort/distribute/transport/frame.h"
#include "cohort/distribute/transport/tls_connection.h"
#include "tests/distribute/group_harness.h"
#include "tests/support/built_with.h"
#include "tests/support/expect_error.h"
#include "tests/support/tls_keys.h"

namespace cohort::distribute {
namespace {

TEST(TlsModuleTest, IsThereExactlyWhenItWasBuilt) {
  std::string problem;
  EXPECT_EQ(module_symbol("tls", kTlsEntry, problem) != nullptr, testing::built_with::tls)
      << problem;
}

TEST(TlsModuleTest, WithoutItTheErrorSaysSo) {
  if (testing::built_with::tls) GTEST_SKIP() << "this build has OpenSSL";
  testing::expect_error(Code::kFailedPrecondition, {"COHORT_TLS=ON"},
                        [] { make_tls_connections({}); });
}

class TlsGroupConcurrentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::built_with::tls) GTEST_SKIP() << "this build has no OpenSSL";
    if (!cohort::test::TlsKeyFolder::possible())
      GTEST_SKIP() << "there is no openssl command here to make keys with";
    ours_ = cluster::read_tls_keys(folder_.make("ours"));
    others_ = cluster::read_tls_keys(folder_.make("others"));
  }

  ProcessGroupOptions group(int num_ranks) const {
    ProcessGroupOptions options = tcp(num_ranks);
    options.tls = ours_;
    return options;
  }

  /// Makes a group of which process i has keys[i]; what each got.
  std::vector<Error> meet(const std::vector<cluster::TlsKeys>& keys) {
    cluster::LocalKeyValueStore store;
    std::vector<Error> errors(keys.size(), Error(Code::kUnknown, "none"));
    std::vector<std::thread> processes;
    for (size_t i = 0; i < keys.size(); ++i)
      processes.emplace_back([&, i] {
        ProcessGroupOptions mine = tcp(static_cast<int>(keys.size()));
        mine.store = &store;
        mine.process = static_cast<int>(i);
        mine.tls = keys[i];
        mine.timeout = std::chrono::minutes(10);  // a test that waited for it would be killed
        try {
          make_process_communicators(mine);
        } catch (const Error& error) {
          errors[i] = error;
        }
      });
    for (std::thread& process : processes) process.join();
    return errors;
  }

  cohort::test::TlsKeyFolder folder_;
  cluster::TlsKeys ours_, others_;
};

/// The bits of an all-reduce of inexact numbers over a group, from rank 0.
std::vector<float> sums(const ProcessGroupOptions& group, size_t n, int rounds) {
  std::vector<float> result;
  expect_no_errors(run_ranks(group, [&](Communicator& rank) {
    std::vector<float> values(n);
    void* data = values.data();
    const auto request = rank.prepare({.count = static_cast<int64_t>(n), .buffer = &data});
    for (int round = 0; round < rounds; ++round) {
      for (size_t i = 0; i < n; ++i)
        values[i] =
            1.0f / static_cast<float>(1 + i % 977 + static_cast<size_t>(rank.rank() + round));
      request->start();
      request->wait();
    }
    if (rank.rank() == 0) result = values;
  }));
  return result;
}

TEST_F(TlsGroupConcurrentTest, SumsHaveTheBitsOfPlainTcp) {
  for (const int ranks : {2, 3, 4})
    for (const size_t n : {size_t{0}, size_t{1}, size_t{1000}, size_t{5000}, size_t{1} << 20}) {
      SCOPED_TRACE(std::to_string(ranks) + " ranks, " + std::to_string(n) + " elements");
      const std::vector<float> plain = sums(tcp(ranks), n, 3), secret = sums(group(ranks), n, 3);
      ASSERT_EQ(plain.size(), secret.size());
      EXPECT_TRUE(plain.empty() || std::memcmp(plain.data(), secret.data(), n * 4) == 0);
    }
}

TEST_F(TlsGroupConcurrentTest, ManyCallsInFlightOverManySteps) {
  expect_no_errors(run_ranks(group(3), [](Communicator& rank) {
    std::mt19937 random(5);  // the same choices on every rank
    constexpr size_t kCount = 12;
    std::vector<std::vector<float>> values(kCount);
    std::vector<void*> data(kCount);
    std::vector<std::unique_ptr<Communicator::Request>> requests;
    for (size_t i = 0; i < kCount; ++i) {
      values[i].resize(random() % (size_t{1} << (random() % 18)));
      data[i] = values[i].data();
      requests.push_back(
          rank.prepare({.count = static_cast<int64_t>(values[i].size()), .buffer = &data[i]}));
    }
    for (int step = 0; step < 20; ++step) {
      for (size_t i = 0; i < kCount; ++i) {
        std::fill(values[i].begin(), values[i].end(), static_cast<float>(rank.rank() + step));
        requests[i]->start();
      }
      for (size_t i = 0; i < kCount; ++i) {
        requests[i]->wait();
        for (const float value : values[i])
          if (value != static_cast<float>(3 + 3 * step)) throw Internal("wrong sum");
      }
    }
  }));
}

TEST_F(TlsGroupConcurrentTest, AWorkerWithoutKeysIsRefusedOnBothSides) {
  for (const size_t plain : {0, 1}) {
    std::vector<cluster::TlsKeys> keys(2, ours_);
    keys[plain] = {};
    for (const Error& error : meet(keys)) {
      EXPECT_EQ(error.code(), Code::kFailedPrecondition);
      const std::string wrong = "(process " + std::to_string(plain) + ") uses plain text";
      EXPECT_NE(std::string(error.what()).find(wrong), std::string::npos) << error.what();
    }
  }
}

TEST_F(TlsGroupConcurrentTest, ACertificateOfAnotherAuthorityIsRefusedOnEveryNode) {
  cluster::TlsKeys trusting = ours_;  // who takes both authorities, but has a certificate of one
  trusting.certificate_authority += others_.certificate_authority;
  struct Case {
    std::vector<cluster::TlsKeys> keys;
    const char* odd;  // whom every node names
  };
  for (const Case& group : {Case{{ours_, others_, ours_}, "(process 1)"},
                            {{trusting, others_, trusting}, "(process 1)"},
                            {{others_, trusting, trusting}, "(process 0)"}})
    for (const Error& error : meet(group.keys)) {
      EXPECT_EQ(error.code(), Code::kPermissionDenied);
      EXPECT_NE(std::string(error.what()).find(group.odd), std::string::npos) << error.what();
    }
}

TEST_F(TlsGroupConcurrentTest, AnExpiredCertificateIsRefused) {
  // Signed by the same authority, and over since yesterday.
  const std::string folder = folder_.path() + "/ours";
  const std::string command =
      "cd " + folder +
      " && openssl x509 -req -in task.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days -1"
      " -out expired.pem 2>> log";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const cluster::TlsKeys expired =
      cluster::read_tls_keys({folder + "/ca.pem", folder + "/expired.pem", folder + "/task.key"});
  for (const Error& error : meet({ours_, expired})) {
    EXPECT_EQ(error.code(), Code::kPermissionDenied);
    EXPECT_NE(std::string(error.what()).find("expired"), std::string::npos) << error.what();
  }
}

TEST_F(TlsGroupConcurrentTest, KeysThatOpenSslDoesNotTakeAreRefused) {
  cluster::TlsKeys keys = ours_;
  keys.private_key = others_.private_key;
  testing::expect_invalid({"private key"}, [&] { make_tls_connections(keys); });
  keys = ours_;
  keys.certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  testing::expect_invalid({"certificate"}, [&] { make_tls_connections(keys); });
  keys = ours_;
  keys.certificate_authority.clear();
  testing::expect_invalid({"certificate authority"}, [&] { make_tls_connections(keys); });
}

FileDescriptor connect_to(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  FileDescriptor fd(socket(AF_INET, SOCK_STREAM, 0));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return {};
  return fd;
}

TEST_F(TlsGroupConcurrentTest, StrangersOnThePortDoNoHarm) {
  cluster::LocalKeyValueStore store;
  const auto sum = [&](int process) {
    ProcessGroupOptions mine = group(2);
    mine.store = &store;
    mine.process = process;
    const auto ranks = make_process_communicators(mine);
    std::vector<float> values(100000, 1.0f);
    void* data = values.data();
    const auto request = ranks[0]->prepare({.count = 100000, .buffer = &data});
    request->start();
    request->wait();
    EXPECT_EQ(values[99999], 2.0f);
  };
  std::thread first([&] { sum(0); });
  const std::string card = store.get("test/tcp/0", std::chrono::seconds(20));
  const int port = std::stoi(card.substr(33));
  std::vector<FileDescriptor> strangers;
  strangers.push_back(connect_to(port));  // says nothing
  ASSERT_TRUE(strangers.back());
  std::mt19937 random(7);
  for (const size_t bytes : {1, 5, 48, 100000}) {
    strangers.push_back(connect_to(port));
    std::string garbage(bytes, ' ');
    for (char& c : garbage) c = static_cast<char>(random());
    if (bytes == 100000) garbage.replace(0, 3, "\x16\x03\x01");  // begins as a handshake does
    send(strangers.back().get(), garbage.data(), garbage.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  strangers.push_back(connect_to(port));  // plain text with the secret
  Greeting greeting{.node = 1, .num_nodes = 2};
  std::copy_n(card.begin(), sizeof greeting.secret, greeting.secret);
  send(strangers.back().get(), &greeting, sizeof greeting, MSG_NOSIGNAL);
  // TLS, but no certificate, and one of another authority.
  const std::string call = "openssl s_client -connect 127.0.0.1:" + std::to_string(port);
  const std::string others = folder_.path() + "/others/task";
  for (const std::string& how :
       {std::string(), " -cert " + others + ".pem -key " + others + ".key"}) {
    const int status = std::system((call + how + " < /dev/null > /dev/null 2>&1").c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) < 126) << "openssl did not run";
  }
  sum(1);
  first.join();
}

// --- a pair of connections -----------------------------------------------------------------------

struct Pair {
  Pair(const ConnectionMaker& maker) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) throw Internal("no pair");
    caller = maker.make(FileDescriptor(ends[0]), Side::kCaller);
    listener = maker.make(FileDescriptor(ends[1]), Side::kListener);
  }
  std::unique_ptr<Connection> caller, listener;
};

/// Sends `text` in the given parts and returns what arrives.
std::string pass(Connection& from, Connection& to, const std::string& header,
                 const std::string& text) {
  const std::string all = header + text;
  std::string got(all.size(), '\0');
  for (size_t sent = 0, read = 0; read < all.size();) {
    if (sent < all.size()) {
      const size_t of_header = std::min(sent, header.size());
      const iovec parts[] = {
          {const_cast<char*>(header.data()) + of_header, header.size() - of_header},
          {const_cast<char*>(text.data()) + (sent - of_header), text.size() - (sent - of_header)}};
      const size_t first = of_header == header.size() ? 1 : 0;
      sent += from.try_write(std::span(parts).subspan(first));
    }
    // Small reads leave records half read.
    read += to.try_read(got.data() + read, std::min<size_t>(all.size() - read, 1000));
  }
  return got;
}

TEST_F(TlsGroupConcurrentTest, BytesArriveUnderManyKeysAndBothKnowThePeer) {
  const auto maker = make_tls_connections(ours_, 100000);
  const Pair pair(*maker);
  std::mt19937 random(3);
  for (const size_t bytes : {size_t{1}, size_t{16352}, size_t{16353}, size_t{1} << 20}) {
    std::string text(bytes, ' ');
    for (char& c : text) c = static_cast<char>(random());
    const std::string header(32, 'h');
    EXPECT_EQ(pass(*pair.caller, *pair.listener, header, text), header + text);
    EXPECT_EQ(pass(*pair.listener, *pair.caller, header, text), header + text);
  }
  EXPECT_EQ(pair.caller->peer_identity(), maker->identity());
  EXPECT_EQ(pair.listener->peer_identity(), maker->identity());
  EXPECT_EQ(maker->identity().size(), 64u);
}

TEST_F(TlsGroupConcurrentTest, AnEndThatClosesIsUnavailable) {
  Pair pair(*make_tls_connections(ours_));
  EXPECT_EQ(pass(*pair.caller, *pair.listener, "", "hello"), "hello");
  pair.caller.reset();
  char byte;
  testing::expect_error(Code::kUnavailable, {"closed the connection"},
                        [&] { pair.listener->try_read(&byte, 1); });
}

}  // namespace
}  // namespace cohort::distribute
