#include "cohort/distribute/in_process_communicator.h"

#include <gtest/gtest.h>

#include <latch>

#include "cohort/core/tensor.h"
#include "tests/distribute/carriers.h"

namespace cohort::distribute {
namespace {

InProcessOptions in_process_group(int size) {
  return {.block_sizes = std::vector<int>(static_cast<size_t>(size), 1)};
}

template <class T>
void expect_sums(int size, int64_t num_elements) {
  const auto errors = run_ranks(in_process_group(size), [&](Communicator& rank) {
    const auto memory = rank.allocate_bucket(static_cast<size_t>(num_elements) * sizeof(T));
    void* data = memory.get();
    const auto request =
        rank.prepare({.dtype = dtype_of<T>(), .count = num_elements, .buffer = &data});
    for (int round = 1; round <= 3; ++round) {
      T* values = static_cast<T*>(data);
      for (int64_t i = 0; i < num_elements; ++i)
        values[i] = static_cast<T>(static_cast<float>((i % 5 + rank.rank()) * round));
      request->start();
      request->wait();
      const int ids = size * (size - 1) / 2;
      for (int64_t i = 0; i < num_elements; ++i)
        if (static_cast<float>(values[i]) != static_cast<float>((i % 5 * size + ids) * round))
          throw Internal("element {} of {}: got {}", i, num_elements,
                         static_cast<float>(values[i]));
    }
  });
  for (const auto& error : errors) EXPECT_FALSE(error) << error->what() << ", " << size << " ranks";
}

TEST(InProcessCommunicatorConcurrentTest, SumsEveryDtypeOnAnyNumberOfRanks) {
  for (const int size : {1, 2, 3, 4, 7}) {
    for (const int64_t num_elements : {0, 1, 10, 1000}) expect_sums<float>(size, num_elements);
    expect_sums<double>(size, 1000);
    expect_sums<Half>(size, 1000);
    expect_sums<BFloat16>(size, 1000);
    expect_sums<int32_t>(size, 1000);
    expect_sums<int64_t>(size, 1000);
    expect_sums<float>(size, kManyElements);
  }
}

TEST(InProcessCommunicatorConcurrentTest, GathersBlocksOfUnequalSize) {
  const auto errors = run_ranks(in_process_group(3), [](Communicator& rank) {
    std::vector<int32_t> mine(static_cast<size_t>(rank.rank()) + 1, rank.rank()), all(6, -1);
    void* input = mine.data();
    void* output = all.data();
    const auto request = rank.prepare({.kind = CollectiveKind::kAllGather,
                                       .dtype = DType::kU8,
                                       .count = static_cast<int64_t>(mine.size() * sizeof(int32_t)),
                                       .buffer = &input,
                                       .output = &output});
    request->start();
    request->wait();
    if (all != std::vector<int32_t>{0, 1, 1, 2, 2, 2})
      throw Internal("rank {}: wrong values", rank.rank());
  });
  for (const auto& error : errors) EXPECT_FALSE(error) << error->what();
}

TEST(InProcessCommunicatorConcurrentTest, ASilentRankIsNamedWhenTheTimeIsUp) {
  InProcessOptions options = in_process_group(3);
  options.timeout = std::chrono::milliseconds(500);
  std::latch ready(3);  // a thread that begins late is not the silent one
  const auto errors = run_ranks(options, [&](Communicator& rank) {
    const auto memory = rank.allocate_bucket(64);
    void* data = memory.get();
    const auto request = rank.prepare({.count = 16, .buffer = &data});
    ready.arrive_and_wait();
    if (rank.rank() == 1) return;
    request->start();
    request->wait();
  });
  for (const int rank : {0, 2}) {
    ASSERT_TRUE(errors[static_cast<size_t>(rank)]);
    EXPECT_EQ(errors[static_cast<size_t>(rank)]->code(), Code::kDeadlineExceeded);
    EXPECT_NE(std::string(errors[static_cast<size_t>(rank)]->what()).find("nothing from rank 1"),
              std::string::npos);
  }
}

TEST(InProcessCommunicatorConcurrentTest, AbortEndsEveryWait) {
  const auto errors = run_ranks(in_process_group(3), [](Communicator& rank) {
    const auto memory = rank.allocate_bucket(64);
    void* data = memory.get();
    const auto request = rank.prepare({.count = 16, .buffer = &data});
    if (rank.rank() == 1) {
      rank.abort(Unavailable("peer down"));
      return;
    }
    request->start();
    request->wait();
  });
  for (const int rank : {0, 2}) {
    ASSERT_TRUE(errors[static_cast<size_t>(rank)]);
    EXPECT_EQ(errors[static_cast<size_t>(rank)]->code(), Code::kUnavailable);
    EXPECT_STREQ(errors[static_cast<size_t>(rank)]->what(), "peer down");
  }
}

TEST(InProcessCommunicatorConcurrentTest, RefusesAnEmptyGroupAndUnknownAdders) {
  EXPECT_THROW(make_in_process_communicators({}), Error);
  EXPECT_THROW(make_in_process_communicators({.block_sizes = {1, 1}, .adders = {2}}), Error);
}

}  // namespace
}  // namespace cohort::distribute
