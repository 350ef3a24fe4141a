#include "cohort/distribute/process_group.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <random>
#include <thread>

#include "cohort/distribute/transport/file_descriptor.h"
#include "cohort/distribute/transport/frame.h"
#include "tests/distribute/group_harness.h"

namespace cohort::distribute {
namespace {

TEST(ProcessGroupConcurrentTest, TheNetworkCarriesTheLeastBytes) {
  for (const int size : {2, 3, 4}) {
    expect_no_errors(run_ranks(tcp(size), [&](Communicator& rank) {
      const int64_t n = int64_t{size} << 16;  // whole lines for every owner
      std::vector<float> values(static_cast<size_t>(n));
      void* data = values.data();
      const auto request = rank.prepare({.count = n, .buffer = &data});
      request->start();
      request->wait();
      const CommunicatorStats before = rank.stats();
      for (int call = 0; call < 3; ++call) {
        request->start();
        request->wait();
      }
      const CommunicatorStats after = rank.stats();
      const auto least = static_cast<uint64_t>(3 * 2 * (size - 1) * n * 4 / size);
      if (after.network_bytes - before.network_bytes != least)
        throw Internal("sent {} bytes; want {}", after.network_bytes - before.network_bytes, least);
      if ((after.network_frames - before.network_frames) * 32 > least / 1000)
        throw Internal("too many frames");
    }));
  }
}

/// What docs/collectives.md says of CollectiveSpec::wire_dtype, in a plain loop: one rank of
/// one replica on each of `size` hosts.
template <class T>
float rounded_sum(int size, int64_t i) {
  std::vector<float> parts;
  for (int rank = 0; rank < size; ++rank)
    parts.push_back(static_cast<float>(T(value_of<float>(rank, i, 0) - 250)));
  for (int step = 1; step < size; step *= 2)
    for (int at = 0; at + step < size; at += 2 * step)
      parts[static_cast<size_t>(at)] += parts[static_cast<size_t>(at + step)];
  return static_cast<float>(T(parts[0]));
}

template <class T>
void expect_rounded_sums(int size, int64_t n) {
  SCOPED_TRACE(std::to_string(size) + " ranks, " + std::to_string(n) + " as " +
               std::string(dtype_name(dtype_of<T>())));
  std::vector<float> want;
  for (int64_t i = 0; i < n; ++i) want.push_back(rounded_sum<T>(size, i));
  expect_no_errors(run_ranks(tcp(size), [&](Communicator& rank) {
    const auto bucket = rank.allocate_bucket(static_cast<size_t>(n) * 4);
    auto* values = static_cast<float*>(bucket.get());
    void* data = values;
    const auto request = rank.prepare({.count = n, .wire_dtype = dtype_of<T>(), .buffer = &data});
    for (int call = 0; call < 3; ++call) {
      for (int64_t i = 0; i < n; ++i) values[i] = value_of<float>(rank.rank(), i, 0) - 250;
      request->start();
      request->wait();
      for (int64_t i = 0; i < n; ++i)
        if (const float sum = want[static_cast<size_t>(i)]; values[i] != sum)
          throw Internal("element {}: got {}; want {}", i, values[i], sum);
    }
  }));
}

TEST(ProcessGroupConcurrentTest, GradientsTravelInAHalfTypeAndEndWithEqualBits) {
  for (const int size : {2, 3, 4})
    for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{10}, int64_t{1001}, kSomeElements + 1,
                            3 * kSomeElements}) {
      expect_rounded_sums<BFloat16>(size, n);
      expect_rounded_sums<Half>(size, n);
    }
}

TEST(ProcessGroupConcurrentTest, RoundedSumsOfSeveralRanksPerHostAreCloseAndEqual) {
  for (const auto& [dtype, epsilon] : {std::pair(DType::kBF16, 0x1p-8), {DType::kF16, 0x1p-11}})
    for (const NamedTopology& topology : kTopologies)
      for (const int64_t n : {10, 70001}) {
        SCOPED_TRACE(topology.name);
        std::vector<std::vector<float>> results(4, std::vector<float>(static_cast<size_t>(n)));
        expect_no_errors(run_ranks(topology.make(4), [&](Communicator& rank) {
          void* data = results[static_cast<size_t>(rank.rank())].data();
          const auto request = rank.prepare({.count = n, .wire_dtype = dtype, .buffer = &data});
          for (int64_t i = 0; i < n; ++i)
            static_cast<float*>(data)[i] = value_of<float>(rank.rank(), i, 0);
          request->start();
          request->wait();
        }));
        for (int64_t i = 0; i < n; ++i) {
          const auto at = static_cast<size_t>(i);
          double exact = 0;
          for (int rank = 0; rank < 4; ++rank) exact += value_of<float>(rank, i, 0);
          EXPECT_NEAR(results[0][at], exact, 2.01 * epsilon * exact);
          for (size_t rank = 1; rank < 4; ++rank) EXPECT_EQ(results[rank][at], results[0][at]);
        }
      }
}

TEST(ProcessGroupConcurrentTest, AHalfTypeHalvesTheBytesAndLeavesOtherCollectivesAlone) {
  expect_no_errors(run_ranks(tcp(4), [&](Communicator& rank) {
    const int64_t n = 1 << 18;
    std::vector<float> values(static_cast<size_t>(n), 1.00390625f);  // no bfloat16
    void* data = values.data();
    const auto plain = rank.prepare({.count = n, .buffer = &data});
    const auto rounded = rank.prepare({.count = n, .wire_dtype = DType::kBF16, .buffer = &data});
    const auto bytes_of = [&](Communicator::Request& request) {
      const uint64_t before = rank.stats().network_bytes;
      request.start();
      request.wait();
      return rank.stats().network_bytes - before;
    };
    rounded->start();  // both are described to the others
    rounded->wait();
    std::fill(values.begin(), values.end(), 1.00390625f);
    if (bytes_of(*plain) != 2 * 3 * n) throw Internal("other bytes than the least");
    if (values[7] != 4 * 1.00390625f) throw Internal("got {}; want the exact sum", values[7]);
    if (bytes_of(*rounded) != 3 * n) throw Internal("other bytes than half of them");
  }));
}

TEST(ProcessGroupConcurrentTest, RanksThatRoundOtherwiseAreNamed) {
  cluster::LocalKeyValueStore store;
  std::vector<std::optional<Error>> errors(2);
  std::vector<std::thread> threads;
  for (int process = 0; process < 2; ++process)
    threads.emplace_back([&, process] {
      try {
        ProcessGroupOptions group = tcp(2);
        group.store = &store;
        group.process = process;
        const auto ranks = make_process_communicators(group);
        float value = 0;
        void* data = &value;
        CollectiveSpec spec{.count = 1, .buffer = &data};
        if (process == 1) spec.wire_dtype = DType::kBF16;
        const auto request = ranks[0]->prepare(spec);
        request->start();
        request->wait();
      } catch (const Error& error) {
        errors[static_cast<size_t>(process)] = error;
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& error : errors) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), Code::kInvalidArgument);
    EXPECT_NE(std::string(error->what()).find("sent as bfloat16 on rank 1"), std::string::npos)
        << error->what();
  }
}

FileDescriptor connect_to(const std::string& port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(port)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  FileDescriptor fd(socket(AF_INET, SOCK_STREAM, 0));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return {};
  return fd;
}

TEST(ProcessGroupConcurrentTest, StrangersOnThePortDoNoHarm) {
  cluster::LocalKeyValueStore store;
  ProcessGroupOptions options = tcp(2);
  options.store = &store;
  const auto sum = [&](int process) {
    ProcessGroupOptions mine = options;
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
  const std::string port = card.substr(33, card.find(' ', 33) - 33);
  const FileDescriptor silent = connect_to(port), closed = connect_to(port);
  ASSERT_TRUE(silent);
  std::vector<FileDescriptor> strangers;
  std::mt19937 random(7);
  for (const size_t bytes : {1, 47, 48, 49, 100000}) {
    strangers.push_back(connect_to(port));
    std::string garbage(bytes, ' ');
    for (char& c : garbage) c = static_cast<char>(random());
    send(strangers.back().get(), garbage.data(), garbage.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  for (const int node : {-1, 0, 1, 2, 1 << 30}) {  // the right form without the secret
    strangers.push_back(connect_to(port));
    const Greeting greeting{.node = node, .num_nodes = 2};
    send(strangers.back().get(), &greeting, sizeof greeting, MSG_NOSIGNAL);
  }
  sum(1);
  first.join();
  EXPECT_FALSE(connect_to(port)) << "the port is open when the group stands";
}

}  // namespace
}  // namespace cohort::distribute
