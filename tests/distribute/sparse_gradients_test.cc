#include <gtest/gtest.h>

#include <mutex>

#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/runtime/program.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/placement/mirrored.h"
#include "cohort/nn/optimizers.h"
#include "tests/distribute/group_harness.h"

/// Slices of several ranks, through real transports.
namespace cohort::distribute {
namespace {

constexpr int64_t kTable = 4000, kWidth = 16, kRows = 10;

/// (indices [N], scales [N, width]) -> the gradient of a table, summed over all replicas.
Trace make_trace(const StepRows& rows) {
  const Trace made = trace(
      [&](std::span<const Value> in) {
        const nn::Variable table(Tensor(DType::kF32, Shape{kTable, kWidth}), "table");
        std::vector<Gradient> gradients =
            nn::gradients(ops::reduce_sum(ops::gather(table, in[0]) * in[1]), {table});
        std::vector<Value> none;
        ops::sum_over_replicas(gradients, none);
        return std::vector<Value>{gradients.front().dense()};
      },
      {{DType::kI64, Shape{batch_dim()}}, {DType::kF32, Shape{batch_dim(), kWidth}}}, "sparse");
  return place_mirrored(made, rows);
}

struct Reduced {
  std::vector<Tensor> gradients;  ///< of each rank
  uint64_t bytes = 0;             ///< sent by rank 0 in a step
};

/// Rank r has kRows - 3 r rows, or none; two of them are the same row.
Reduced reduce(const ProcessGroupOptions& group, const StepRows& rows) {
  const auto ranks = static_cast<size_t>(rows.num_replicas);
  Reduced reduced{.gradients = std::vector<Tensor>(ranks)};
  std::mutex compiling;
  std::vector<Trace> traces;
  for (size_t r = 0; r < ranks; ++r) traces.push_back(make_trace(rows));
  const auto errors = run_ranks(group, [&](Communicator& communicator) {
    const auto r = static_cast<size_t>(communicator.rank());
    Runtime& runtime = default_runtime();
    Device& device = *runtime.devices(DeviceType::kCPU)[r];
    device.bind_thread();
    Program program(runtime, traces[r],
                    {.device = &device,
                     .communicator = &communicator,
                     .num_replicas = static_cast<int>(ranks)});
    const int64_t mine = std::max<int64_t>(0, kRows - 3 * static_cast<int64_t>(r));
    Tensor indices(DType::kI64, Shape{mine}), scales(DType::kF32, Shape{mine, kWidth});
    for (int64_t i = 0; i < mine; ++i)
      indices.data<int64_t>()[i] = (i * 613 + static_cast<int64_t>(r) * 1226) % kTable;
    if (mine > 1) indices.data<int64_t>()[1] = indices.data<int64_t>()[0];
    for (int64_t i = 0; i < scales.num_elements(); ++i)
      scales.data<float>()[i] = 1 / static_cast<float>(i + 3);
    Executable& executable = [&]() -> Executable& {
      const std::lock_guard lock(compiling);  // as in a program, where one thread compiles
      return program.whole({{"N", mine}});
    }();
    for (int step = 0; step < 3; ++step) {
      const uint64_t before = communicator.stats().network_bytes;
      executable.set_input(0, indices.raw());
      executable.set_input(1, scales.raw());
      executable.run();
      if (r == 0) reduced.bytes = communicator.stats().network_bytes - before;
    }
    reduced.gradients[r] = executable.output(0);
  });
  expect_no_errors(errors);
  return reduced;
}

class SparseGroupTest : public ::testing::TestWithParam<NamedTopology> {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(4, 1); }
};

TEST_P(SparseGroupTest, GatheredRowsAreTheDenseSumOnEveryRank) {
  for (const int ranks : {2, 3, 4}) {
    const ProcessGroupOptions group = GetParam().make(ranks);
    const Reduced sparse = reduce(group, {.num_replicas = ranks, .batch_size = ranks * kRows});
    const Reduced dense = reduce(group, {.num_replicas = ranks});
    for (const Tensor& gradient : sparse.gradients)
      EXPECT_TRUE(bitwise_equal(gradient, dense.gradients[0])) << ranks << " ranks";
  }
}

INSTANTIATE_TEST_SUITE_P(Topologies, SparseGroupTest, ::testing::ValuesIn(kTopologies),
                         topology_name);

TEST(SparseGroupBytesTest, ALargeTableSendsItsRowsAlone) {
  default_runtime().set_logical_cpu_devices(4, 1);
  const Reduced sparse = reduce(tcp(4), {.num_replicas = 4, .batch_size = 4 * kRows});
  // Each rank sends its rows and their numbers to three others.
  EXPECT_EQ(sparse.bytes, 3u * kRows * (kWidth * 4 + 4));
  const Reduced dense = reduce(tcp(4), {.num_replicas = 4});
  EXPECT_GE(dense.bytes, 2u * 3 * kTable * kWidth * 4 / 4);
}

}  // namespace
}  // namespace cohort::distribute
