#include "cohort/kernels/cuda/nccl/communicator.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <numeric>
#include <thread>

#include "cohort/distribute/elementwise.h"
#include "cohort/distribute/replica_tree.h"
#include "cohort/kernels/cuda/device.h"
#include "tests/cuda_host/fake_cuda.h"
#include "tests/cuda_host/fake_nccl.h"
#include "tests/support/expect_error.h"

namespace cohort::cuda {
namespace {

using Blocks = std::vector<int>;
using Kind = CollectiveKind;

/// Inexact sums.
float value_of(int rank, int64_t i) { return static_cast<float>(i * 31 + rank * 17 + 1) / 7.0f; }

class NcclCommunicatorTest : public ::testing::Test {
 protected:
  NcclCommunicatorTest() {
    testing::reset_fake_cuda();
    testing::reset_fake_nccl();
  }

  /// Runs `body` on the ranks of a group on fake GPUs, each a thread.
  static void on_ranks(const Blocks& blocks, const std::function<void(Communicator&)>& body) {
    testing::fake_cuda().devices.resize(blocks.size());
    std::vector<std::unique_ptr<CudaDevice>> gpus;
    std::vector<Device*> devices;
    for (size_t r = 0; r < blocks.size(); ++r) {
      gpus.push_back(std::make_unique<CudaDevice>(static_cast<int>(r)));
      devices.push_back(gpus.back().get());
    }
    const auto ranks =
        make_nccl_communicators({.devices = devices,
                                 .order = distribute::combine_order(blocks),
                                 .num_replicas = std::accumulate(blocks.begin(), blocks.end(), 0)});
    std::vector<std::string> errors(ranks.size());
    std::vector<std::thread> threads;
    for (size_t r = 0; r < ranks.size(); ++r)
      threads.emplace_back([&, r] {
        try {
          devices[r]->bind_thread();
          body(*ranks[r]);
        } catch (const Error& error) {
          errors[r] = error.what();
        }
      });
    for (std::thread& thread : threads) thread.join();
    for (const std::string& error : errors) EXPECT_EQ(error, "");
  }

  static void call(Communicator::Request& request) {
    request.start();
    request.wait();
  }
};

std::vector<float> reduced(const Blocks& blocks, int64_t count, ops::ReduceOp op) {
  std::vector<std::vector<float>> buffers(blocks.size());
  for (size_t r = 0; r < blocks.size(); ++r)
    for (int64_t i = 0; i < count; ++i) buffers[r].push_back(value_of(static_cast<int>(r), i));
  for (const auto& [a, b] : distribute::combine_order(blocks))
    distribute::reduce_into(buffers[static_cast<size_t>(a)].data(),
                            buffers[static_cast<size_t>(b)].data(), count, DType::kF32, op);
  if (op == ops::ReduceOp::kMean)
    distribute::divide_by(buffers[0].data(), count, DType::kF32,
                          std::accumulate(blocks.begin(), blocks.end(), int64_t{0}));
  return buffers[0];
}

TEST_F(NcclCommunicatorTest, ReductionsHaveTheBitsOfTheTreeAndItsBytes) {
  for (const Blocks& blocks : {Blocks{1}, Blocks{1, 1}, Blocks{1, 1, 1}, Blocks{1, 1, 1, 1}})
    for (const ops::ReduceOp op : {ops::ReduceOp::kSum, ops::ReduceOp::kMean, ops::ReduceOp::kMax})
      for (const Kind kind : {Kind::kAllReduce, Kind::kReduceScatter})
        for (const int64_t each : {0, 16, 48, 4096}) {
          const auto n = static_cast<int64_t>(blocks.size());
          const int64_t count = each * n;
          SCOPED_TRACE(fmt::format("{} of {} on {} ranks", collective_name(kind), count, n));
          const std::vector<float> want = reduced(blocks, count, op);
          on_ranks(blocks, [&](Communicator& rank) {
            std::vector<float> values(static_cast<size_t>(count));
            void* slot = values.data();
            const auto request =
                rank.prepare({.kind = kind, .count = count, .op = op, .buffer = &slot});
            for (int round = 0; round < 2; ++round) {
              for (int64_t i = 0; i < count; ++i)
                values[static_cast<size_t>(i)] = value_of(rank.rank(), i);
              call(*request);
              const bool whole = kind == Kind::kAllReduce;
              const int64_t own = whole ? count : each, from = whole ? 0 : rank.rank() * each;
              if (own > 0 && std::memcmp(values.data() + from, want.data() + from,
                                         static_cast<size_t>(own) * sizeof(float)) != 0)
                throw Internal("rank {}: other bits", rank.rank());
            }
            const uint64_t least = static_cast<uint64_t>(2 * (n - 1) * each) * sizeof(float) *
                                   (kind == Kind::kAllReduce ? 2 : 1);
            if (rank.stats()[kind].payload_bytes != least)
              throw Internal("sent {} bytes; want {}", rank.stats()[kind].payload_bytes, least);
          });
        }
}

// The first GPU carries two replicas: thirds, not halves.
TEST_F(NcclCommunicatorTest, AMeanDividesByLogicalReplicas) {
  for (const Blocks& blocks : {Blocks{2}, Blocks{2, 1}, Blocks{2, 1, 1}}) {
    const std::vector<float> want = reduced(blocks, 12, ops::ReduceOp::kMean);
    on_ranks(blocks, [&](Communicator& rank) {
      std::vector<float> values;
      for (int64_t i = 0; i < 12; ++i) values.push_back(value_of(rank.rank(), i));
      void* slot = values.data();
      call(*rank.prepare({.count = 12, .op = ops::ReduceOp::kMean, .buffer = &slot}));
      if (values != want) throw Internal("got {}; want {}", values[0], want[0]);
    });
  }
}

TEST_F(NcclCommunicatorTest, GathersAndBroadcasts) {
  on_ranks({1, 1, 1}, [](Communicator& rank) {
    const int64_t count = rank.rank() + 1;
    std::vector<int32_t> all(6, -1), mine(static_cast<size_t>(count), rank.rank());
    void *input = mine.data(), *output = all.data();
    const auto gather = rank.prepare({.kind = Kind::kAllGather,
                                      .dtype = DType::kI32,
                                      .count = count,
                                      .buffer = &input,
                                      .output = &output});
    call(*gather);
    if (all != std::vector<int32_t>{0, 1, 1, 2, 2, 2}) throw Internal("wrong values");
    const size_t place[] = {0, 1, 3};
    all.assign(6, -1);
    input = all.data() + place[rank.rank()];
    std::copy(mine.begin(), mine.end(), static_cast<int32_t*>(input));
    call(*gather);
    if (all != std::vector<int32_t>{0, 1, 1, 2, 2, 2}) throw Internal("wrong values in place");
    if (rank.stats()[Kind::kAllGather].payload_bytes != 2 * 2 * 4 * static_cast<uint64_t>(count))
      throw Internal("sent {} bytes", rank.stats()[Kind::kAllGather].payload_bytes);

    const auto broadcast = rank.prepare(
        {.kind = Kind::kBroadcast, .dtype = DType::kI32, .count = 6, .root = 2, .buffer = &output});
    all.assign(6, rank.rank());
    call(*broadcast);
    if (all != std::vector<int32_t>(6, 2)) throw Internal("wrong values of the root");
    if (rank.stats()[Kind::kBroadcast].payload_bytes != (rank.rank() == 2 ? 2u * 24 : 0u))
      throw Internal("sent {} bytes", rank.stats()[Kind::kBroadcast].payload_bytes);
  });
}

TEST_F(NcclCommunicatorTest, StepsThatComeAndGoNeedOneGroup) {
  on_ranks({1, 1}, [](Communicator& rank) {
    for (int step = 0; step < 16; ++step) {
      std::vector<float> values(32, 1);
      void* slot = values.data();
      call(*rank.prepare({.count = 32, .buffer = &slot}));
      if (values[31] != 2) throw Internal("got {}", values[31]);
    }
  });
  EXPECT_EQ(testing::fake_nccl().inits, 1);
  EXPECT_EQ(testing::fake_nccl().live, 0);
}

TEST_F(NcclCommunicatorTest, WhatItCannotIsRefused) {
  on_ranks({1, 1}, [](Communicator& rank) {
    std::vector<float> values(8);
    void* slot = values.data();
    testing::expect_error(Code::kUnimplemented, {"all_reduce", "bfloat16"}, [&] {
      (void)rank.prepare({.count = 8, .wire_dtype = DType::kBF16, .buffer = &slot});
    });
    testing::expect_error(Code::kUnimplemented, {"\"model\"", "NCCL"},
                          [&] { (void)rank.split("model", 0); });
  });
}

}  // namespace
}  // namespace cohort::cuda
