#include "cohort/kernels/cuda/tree_sum.h"

#include "cohort/distribute/replica_tree.h"
#include "cohort/kernels/cuda/device.h"
#include "cohort/kernels/cuda/merge_counts.h"
#include "tests/gpu/device_case.h"

// The kernel of reductions between GPUs, which needs two of them elsewhere.
namespace cohort::testing {
namespace {

// The sum of ranks begin … end - 1: complete subtrees first, what is left of the end on.
float sum_of_ranks(const std::vector<Tensor>& ranks, int64_t i, size_t begin, size_t end) {
  if (end - begin == 1) return ranks[begin].data<float>()[i];
  size_t left = 1;
  while (left * 2 < end - begin) left *= 2;
  return sum_of_ranks(ranks, i, begin, begin + left) + sum_of_ranks(ranks, i, begin + left, end);
}

TEST(TreeSumTest, AddsInTheFixedTreeForAnyNumberOfRanks) {
  auto& device = static_cast<cuda::CudaDevice&>(*gpu());
  for (const size_t num_ranks : {1, 2, 3, 4, 5, 7, 8, 13})
    for (const int64_t n : {1, 255, 257}) {
      const int64_t stride = n + 3;
      std::vector<Tensor> ranks;
      for (size_t r = 0; r < num_ranks; ++r)
        ranks.push_back(random_numbers(DType::kF32, {n}, r + 1));
      const size_t bytes = static_cast<size_t>(n) * sizeof(float);
      const auto others = std::static_pointer_cast<float>(
          device.allocate(num_ranks * static_cast<size_t>(stride) * sizeof(float)));
      for (size_t r = 0; r < num_ranks; ++r)
        device.copy_from_host(others.get() + static_cast<int64_t>(r) * stride, ranks[r].raw(),
                              bytes);
      const auto mine = device.allocate(bytes);
      const std::vector<uint8_t> counts = cuda::merge_counts(
          static_cast<int>(num_ranks), distribute::combine_order(std::vector<int>(num_ranks, 1)));
      const auto merges = std::static_pointer_cast<uint8_t>(device.allocate(counts.size()));
      device.copy_from_host(merges.get(), counts.data(), counts.size());
      const size_t rank = num_ranks / 2;
      device.copy_from_host(mine.get(), ranks[rank].raw(), bytes);
      ASSERT_TRUE(cuda::tree_sum(DType::kF32, static_cast<int>(rank), static_cast<int>(num_ranks),
                                 merges.get(), mine.get(), others.get(), stride, n, 2,
                                 device.compute_stream()));
      Tensor got(DType::kF32, {n}), want(DType::kF32, {n});
      device.copy_to_host(got.raw(), mine.get(), bytes);
      for (int64_t i = 0; i < n; ++i)
        want.data<float>()[i] = sum_of_ranks(ranks, i, 0, num_ranks) / 2;
      EXPECT_TRUE(bitwise_equal(got, want)) << num_ranks << " ranks, " << n << " elements";
    }
}

}  // namespace
}  // namespace cohort::testing
