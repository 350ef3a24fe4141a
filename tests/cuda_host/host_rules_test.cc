// What the CUDA module decides on the host.
#include <gtest/gtest.h>

#include "cohort/distribute/replica_tree.h"
#include "cohort/kernels/cuda/architectures.h"
#include "cohort/kernels/cuda/merge_counts.h"
#include "cohort/kernels/cuda/walk.h"
#include "tests/support/expect_error.h"

namespace cohort::cuda {
namespace {

using testing::expect_invalid;

TEST(ArchitecturesTest, BinariesRunOnLaterMinorsAndTextOnLaterVersions) {
  EXPECT_TRUE(runs_on("80-real,90-real", 8, 6));
  EXPECT_TRUE(runs_on("80-real,90-real", 9, 0));
  EXPECT_FALSE(runs_on("80-real,90-real", 10, 0));
  EXPECT_FALSE(runs_on("80-real,90-real", 7, 5));
  EXPECT_FALSE(runs_on("86-real", 8, 0));
  EXPECT_TRUE(runs_on("90-real,80-virtual", 12, 1));
  EXPECT_FALSE(runs_on("90-virtual", 8, 9));
  EXPECT_TRUE(runs_on("90", 12, 0));
  EXPECT_TRUE(runs_on("90a-real", 9, 0));
  EXPECT_FALSE(runs_on("90a", 10, 0));
  EXPECT_TRUE(runs_on("100f-real", 10, 3));
  EXPECT_TRUE(runs_on("native", 7, 0));
  EXPECT_FALSE(runs_on("", 9, 0));
}

/// The sum of `leaves` as the kernel adds them: a stack that is merged so often after each.
std::string sum_by_counts(const std::vector<std::string>& leaves,
                          const std::vector<uint8_t>& counts) {
  std::vector<std::string> stack;
  for (size_t r = 0; r < leaves.size(); ++r) {
    stack.push_back(leaves[r]);
    for (int m = counts[r]; m > 0; --m) {
      const std::string top = stack.back();
      stack.pop_back();
      stack.back() = "(" + stack.back() + "+" + top + ")";
    }
  }
  EXPECT_EQ(stack.size(), 1u);
  return stack.back();
}

/// The sum of replicas first … first + n - 1 as replica_tree.h says.
std::string tree(int first, int n) {
  if (n == 1) return std::to_string(first);
  int left = 1;
  while (left * 2 < n) left *= 2;
  return "(" + tree(first, left) + "+" + tree(first + left, n - left) + ")";
}

TEST(MergeCountsTest, BlocksAreAddedAsReplicasOnOneDeviceAre) {
  for (int replicas = 1; replicas <= 20; ++replicas)
    for (int devices = 1; devices <= replicas; ++devices) {
      const std::vector<int> blocks = distribute::split_into_blocks(replicas, devices);
      std::vector<std::string> leaves;
      int first = 0;
      for (const int block : blocks) {
        leaves.push_back(tree(first, block));
        first += block;
      }
      const auto counts = merge_counts(devices, distribute::combine_order(blocks));
      EXPECT_EQ(sum_by_counts(leaves, counts), tree(0, replicas))
          << replicas << " replicas on " << devices << " devices";
    }
}

TEST(MergeCountsTest, WhatIsNoTreeIsRefused) {
  expect_invalid({"3 ranks", "no tree"}, [] { merge_counts(3, {{0, 1}}); });
  expect_invalid({"no tree"}, [] { merge_counts(3, {{0, 2}, {0, 1}}); });
  CombineOrder to_the_right;
  for (int r = 20; r > 0; --r) to_the_right.emplace_back(r - 1, r);
  expect_invalid({"more than 16 sums"}, [&] { merge_counts(21, to_the_right); });
}

Walk walk_of(std::vector<int64_t> sizes, std::vector<int64_t> a, std::vector<int64_t> b) {
  const std::span<const int64_t> strides[] = {a, b};
  return make_walk(sizes, strides);
}

TEST(WalkTest, ABroadcastOfMoreThan2To31ElementsIsTaken) {
  // A table of 64k rows by 128k classes, and a number for each row.
  const Walk walk = walk_of({65536, 131072}, {131072, 1}, {1, 0});
  EXPECT_EQ(walk.num_elements, int64_t{1} << 33);
  EXPECT_EQ(walk.rank, 2);
  EXPECT_EQ(walk.sizes[0], 65536u);
  EXPECT_EQ(walk.sizes[1], 131072u);
}

TEST(WalkTest, AxesAreMergedWhileTheirProductFits) {
  const Walk walk = walk_of({4, 65536, 65536}, {0, 65536, 1}, {0, 65536, 1});
  EXPECT_EQ(walk.rank, 3);
  EXPECT_EQ(walk_of({4, 65536, 65535}, {0, 65535, 1}, {0, 65535, 1}).rank, 2);
}

TEST(WalkTest, OnlyALineMayBeLongerThan2To32) {
  const int64_t size = (int64_t{1} << 32) + 5;
  EXPECT_TRUE(walk_of({size}, {1}, {0}).is_flat());
  EXPECT_EQ(walk_of({1, size}, {7, 2}, {7, 3}).num_elements, size);
  testing::expect_error(Code::kUnimplemented, {"2^32"}, [&] {
    walk_of({2, size}, {1, 2}, {size, 1});
  });
  EXPECT_EQ(walk_of({0, 5}, {5, 1}, {1, 0}).num_elements, 0);
}

}  // namespace
}  // namespace cohort::cuda
