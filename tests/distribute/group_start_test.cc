#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <latch>
#include <thread>

#include "cohort/distribute/process_group.h"
#include "cohort/distribute/transport/shared_file.h"
#include "cohort/distribute/transport/tcp_mesh.h"
#include "cohort/distribute/transport/tcp_socket.h"
#include "tests/distribute/group_harness.h"
#include "tests/support/expect_error.h"

/// While the processes of a group find each other: nobody waits for one that cannot come.
namespace cohort::distribute {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using testing::expect_error;
using ::testing::HasSubstr;

std::string words(const std::optional<Error>& error) {
  return error ? std::string(code_name(error->code())) + " " + error->what() : "";
}

/// Makes the group in `process` against a store in which the job has failed, or does when the
/// process has begun to wait.
void expect_end_with_the_job(ProcessGroupOptions group, int process) {
  cluster::LocalKeyValueStore store;
  group.store = &store;
  group.process = process;
  std::thread job([&] { store.fail(Unavailable("task 2 was killed")); });
  expect_error(Code::kUnavailable, {"task 2 was killed"},
               [&] { make_process_communicators(group); });
  job.join();
}

class GroupStartConcurrentTest : public ::testing::TestWithParam<NamedTopology> {};

INSTANTIATE_TEST_SUITE_P(Of, GroupStartConcurrentTest, ::testing::ValuesIn(kTopologies),
                         topology_name);

TEST_P(GroupStartConcurrentTest, TheJobsFailureEndsItInEveryProcess) {
  for (int process = 0; process < 4; ++process)
    expect_end_with_the_job(GetParam().make(4), process);
}

/// A store that gives a node's card with another port.
class WrongPort final : public cluster::KeyValueStore {
 public:
  WrongPort(KeyValueStore& store, std::string key, int port)
      : store_(store), key_(std::move(key)), port_(port) {}

  void insert(const std::string& key, const std::string& value) override {
    store_.insert(key, value);
  }
  std::string get(const std::string& key, milliseconds timeout) override {
    return store_.get(key, timeout);
  }
  std::optional<std::string> try_get(const std::string& key) override {
    std::optional<std::string> value = store_.try_get(key);
    if (value && key == key_) {  // "secret port identity address"
      const size_t begin = value->find(' ') + 1;
      value->replace(begin, value->find(' ', begin) - begin, std::to_string(port_));
    }
    return value;
  }
  std::optional<Error> error() const override { return store_.error(); }
  int watch(std::function<void(const Error&)> handler) override {
    return store_.watch(std::move(handler));
  }
  void unwatch(int watch) override { store_.unwatch(watch); }

 private:
  KeyValueStore& store_;
  const std::string key_;
  const int port_;
};

TEST(TcpMeshConcurrentTest, WhoCannotReachWhomIsNamedOnBothSides) {
  int closed = 0;
  { closed = listen_at("127.0.0.1", {}).port; }
  cluster::LocalKeyValueStore store;
  WrongPort wrong(store, "k/0", closed);
  std::vector<std::string> said(2);
  std::latch ready(2);  // the time for both begins at once
  std::vector<std::thread> nodes;
  for (int node = 0; node < 2; ++node)
    nodes.emplace_back([&, node] {
      ready.arrive_and_wait();
      try {
        connect_mesh({.store = node == 1 ? static_cast<cluster::KeyValueStore*>(&wrong) : &store,
                      .key = "k",
                      .node = node,
                      .names = {"rank 0 (worker 0)", "rank 1 (worker 1)"},
                      .address = "127.0.0.1",
                      .timeout = milliseconds(1000),
                      .connections = make_plain_connections()});
      } catch (const Error& error) {
        said[static_cast<size_t>(node)] = words(error);
      }
    });
  for (std::thread& node : nodes) node.join();
  EXPECT_EQ(said[0],
            fmt::format("DeadlineExceeded tcp group: rank 1 (worker 1) could not reach rank "
                        "0 (worker 0) at 127.0.0.1:{} (Connection refused) in 1000 ms",
                        closed));
  EXPECT_EQ(said[1], said[0]);
}

TEST(TcpMeshConcurrentTest, ANodeThatDoesNotComeIsNamedWithTheAddressItWasExpectedAt) {
  cluster::LocalKeyValueStore store;
  expect_error(Code::kDeadlineExceeded,
               {"rank 0 (worker 0)", "rank 1 (worker 1), which has not connected to 127.0.0.1:"},
               [&] {
                 connect_mesh({.store = &store,
                               .key = "k",
                               .names = {"rank 0 (worker 0)", "rank 1 (worker 1)"},
                               .address = "127.0.0.1",
                               .timeout = milliseconds(50),
                               .connections = make_plain_connections()});
               });
}

TEST(TcpSocketTest, APortOfTheRangeIsTakenAndAFullRangeIsRefused) {
  const TcpListener any = listen_at("127.0.0.1", {});
  EXPECT_GT(any.port, 0);
  expect_error(Code::kResourceExhausted,
               {fmt::format("{}-{}", any.port, any.port), "COHORT_PORT_RANGE", "127.0.0.1",
                "is held by process " + std::to_string(getpid())},
               [&] {
                 listen_at("127.0.0.1", {any.port, any.port});
               });
  const cluster::PortRange more{any.port, std::min(any.port + 50, 65535)};
  const TcpListener next = listen_at("127.0.0.1", more);
  EXPECT_GT(next.port, more.first);
  EXPECT_LE(next.port, more.last);
}

TEST(TcpSocketTest, AForeignAddressIsRefusedWithTheReason) {
  expect_error(Code::kUnavailable, {"192.0.2.1", "assign requested address"},
               [] { listen_at("192.0.2.1", {}); });
}

TEST(ProcessGroupConcurrentTest, GroupsOneAfterTheOtherTakePortsOfTheRange) {
  for (int round = 0; round < 3; ++round) {
    ProcessGroupOptions group = tcp(2);
    group.ports = {30000, 30100};  // the system gives these to nobody by itself
    expect_no_errors(run_ranks(group, [](Communicator& rank) {
      float value = 1;
      void* data = &value;
      const auto request = rank.prepare({.count = 1, .buffer = &data});
      request->start();
      request->wait();
      if (value != 2) throw Internal("got {}; want 2", value);
    }));
  }
}

/// What `body` throws in a process whose files may have `bytes`.
std::string thrown_under_file_limit(rlim_t bytes, const std::function<void()>& body) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
    std::string text = "nothing";
    try {
      body();
    } catch (const Error& error) {
      text = words(error);
    }
    _exit(write(ends[1], text.data(), text.size()) > 0 ? 0 : 1);
  }
  close(ends[1]);
  std::string text(2000, ' ');
  const ssize_t got = read(ends[0], text.data(), text.size());
  text.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return text.empty() ? "status " + std::to_string(status) : text;
}

TEST(SharedFileTest, AFileIsAsLargeAsTheLimitAllows) {
  constexpr rlim_t kLimit = rlim_t{64} << 20;
  EXPECT_EQ(thrown_under_file_limit(kLimit,
                                    [] {
                                      const SharedFile file = SharedFile::create("test");
                                      file.map(kLimit - kHugePage, kHugePage).get()[100] = 1;
                                    }),
            "nothing");
  EXPECT_THAT(
      thrown_under_file_limit(
          kLimit, [] { SharedFile::create("test").map(kLimit - kSmallPage, 2 * kSmallPage); }),
      AllOf(HasSubstr("ResourceExhausted"), HasSubstr("RLIMIT_FSIZE is 67108864 bytes")));
  EXPECT_THAT(thrown_under_file_limit(0, [] { SharedFile::create("test"); }),
              AllOf(HasSubstr("ResourceExhausted"), HasSubstr("RLIMIT_FSIZE is 0 bytes")));
}

}  // namespace
}  // namespace cohort::distribute
