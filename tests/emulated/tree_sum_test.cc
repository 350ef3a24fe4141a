#include "cohort/kernels/cuda/tree_sum.h"

#include "cohort/distribute/elementwise.h"
#include "cohort/distribute/replica_tree.h"
#include "cohort/kernels/cuda/device.h"
#include "cohort/kernels/cuda/merge_counts.h"
#include "tests/gpu/device_case.h"

// The kernel of reductions between GPUs.
namespace cohort::testing {
namespace {

// The sum of ranks begin … end - 1: complete subtrees first, what is left of the end on.
float sum_of_ranks(const std::vector<Tensor>& ranks, int64_t i, size_t begin, size_t end) {
  if (end - begin == 1) return ranks[begin].data<float>()[i];
  size_t left = 1;
  while (left * 2 < end - begin) left *= 2;
  return sum_of_ranks(ranks, i, begin, begin + left) + sum_of_ranks(ranks, i, begin + left, end);
}

/// What the kernel makes of one tensor of n elements for each rank, as the rank in the middle.
Tensor combined(const std::vector<Tensor>& ranks, cuda::Combine how, double divisor) {
  auto& device = static_cast<cuda::CudaDevice&>(*gpu());
  const auto num_ranks = static_cast<int>(ranks.size());
  const DType dtype = ranks[0].dtype();
  const int64_t n = ranks[0].num_elements(), stride = n + 3;
  const size_t bytes = ranks[0].num_bytes();
  const auto others = std::static_pointer_cast<std::byte>(
      device.allocate(ranks.size() * static_cast<size_t>(stride) * size_of(dtype)));
  for (size_t r = 0; r < ranks.size(); ++r)
    device.copy_from_host(others.get() + r * static_cast<size_t>(stride) * size_of(dtype),
                          ranks[r].raw(), bytes);
  const auto mine = device.allocate(bytes);
  const std::vector<uint8_t> counts =
      cuda::merge_counts(num_ranks, distribute::combine_order(std::vector<int>(ranks.size(), 1)));
  const auto merges = std::static_pointer_cast<uint8_t>(device.allocate(counts.size()));
  device.copy_from_host(merges.get(), counts.data(), counts.size());
  const int rank = num_ranks / 2;
  device.copy_from_host(mine.get(), ranks[static_cast<size_t>(rank)].raw(), bytes);
  EXPECT_TRUE(cuda::tree_sum(dtype, rank, num_ranks, merges.get(), mine.get(), others.get(), stride,
                             n, divisor, device.compute_stream(), how));
  Tensor got(dtype, {n});
  device.copy_to_host(got.raw(), mine.get(), bytes);
  return got;
}

TEST(TreeSumTest, AddsInTheFixedTreeForAnyNumberOfRanks) {
  for (const size_t num_ranks : {1, 2, 3, 4, 5, 7, 8, 13})
    for (const int64_t n : {1, 255, 257}) {
      std::vector<Tensor> ranks;
      for (size_t r = 0; r < num_ranks; ++r)
        ranks.push_back(random_numbers(DType::kF32, {n}, r + 1));
      Tensor want(DType::kF32, {n});
      for (int64_t i = 0; i < n; ++i)
        want.data<float>()[i] = sum_of_ranks(ranks, i, 0, num_ranks) / 2;
      EXPECT_TRUE(bitwise_equal(combined(ranks, cuda::Combine::kSum, 2), want))
          << num_ranks << " ranks, " << n << " elements";
    }
}

TEST(TreeSumTest, GivesTheBitsOfReductionsOnTheHost) {
  using ops::ReduceOp;
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kI32, DType::kI64, DType::kU8})
    for (const auto& [op, how] : {std::pair(ReduceOp::kSum, cuda::Combine::kSum),
                                  std::pair(ReduceOp::kMax, cuda::Combine::kMax),
                                  std::pair(ReduceOp::kMin, cuda::Combine::kMin)}) {
      std::vector<Tensor> ranks, sums;
      for (uint64_t r = 0; r < 6; ++r) ranks.push_back(random_numbers(dtype, {100}, r + 1));
      for (const Tensor& rank : ranks) sums.push_back(rank.clone());
      for (const auto& [to, from] : distribute::combine_order(std::vector<int>(ranks.size(), 1)))
        distribute::reduce_into(sums[static_cast<size_t>(to)].raw(),
                                sums[static_cast<size_t>(from)].raw(), 100, dtype, op);
      EXPECT_TRUE(bitwise_equal(combined(ranks, how, 1), sums[0]))
          << dtype_name(dtype) << ", operation " << static_cast<int>(op);
    }
}

}  // namespace
}  // namespace cohort::testing
