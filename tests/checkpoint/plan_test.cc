#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <ctime>
#include <numeric>

#include "cohort/checkpoint/reshard_plan.h"
#include "cohort/checkpoint/retention.h"
#include "tests/support/expect_error.h"

namespace cohort::checkpoint {
namespace {

using testing::expect_error;

/// Tensors in one row, of which each of `ranks` has an equal contiguous part, in its file.
Manifest sharded(const std::vector<int64_t>& sizes, int ranks) {
  const int64_t total = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  Manifest manifest;
  for (int rank = 0; rank < ranks; ++rank) manifest.files.push_back({.name = "f"});
  int64_t first = 0, rank = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    TensorRecord tensor{.name = "t", .shape = {sizes[i]}};
    for (int64_t at = 0; at < sizes[i];) {
      while ((rank + 1) * total / ranks <= first + at) ++rank;
      const int64_t end = std::min(sizes[i], (rank + 1) * total / ranks - first);
      const int64_t begin_of_rank = rank * total / ranks;
      tensor.pieces.push_back({at, end, static_cast<uint32_t>(rank),
                               static_cast<uint64_t>(first + at - begin_of_rank) * 4});
      at = end;
    }
    first += sizes[i];
    manifest.tensors.push_back(std::move(tensor));
  }
  return manifest;
}

/// What each rank of another number wants.
std::vector<std::vector<ElementRange>> parts(const Manifest& manifest, int ranks) {
  std::vector<std::vector<ElementRange>> wanted(static_cast<size_t>(ranks));
  int64_t total = 0;
  for (const TensorRecord& tensor : manifest.tensors) total += tensor.shape[0];
  int64_t first = 0, rank = 0;
  for (uint32_t i = 0; i < manifest.tensors.size(); ++i) {
    const int64_t size = manifest.tensors[i].shape[0];
    for (int64_t at = 0; at < size;) {
      while ((rank + 1) * total / ranks <= first + at) ++rank;
      const int64_t end = std::min(size, (rank + 1) * total / ranks - first);
      wanted[static_cast<size_t>(rank)].push_back({i, at, end});
      at = end;
    }
    first += size;
  }
  return wanted;
}

std::vector<int64_t> some_sizes(size_t count) {
  std::vector<int64_t> sizes(count);
  for (size_t i = 0; i < count; ++i) sizes[i] = static_cast<int64_t>(1 + i * 7919 % 5003);
  return sizes;
}

TEST(ReshardPlanTest, EveryWantedElementIsReadOnceFromWhereItIs) {
  for (const auto& [saved, wanted] : {std::pair{4, 3}, {3, 8}, {8, 1}, {1, 5}, {7, 7}}) {
    const Manifest manifest = sharded(some_sizes(50), saved);
    std::vector<std::vector<int>> seen;
    for (const TensorRecord& tensor : manifest.tensors)
      seen.emplace_back(static_cast<size_t>(tensor.shape[0]));
    for (const auto& ranges : parts(manifest, wanted))
      for (const PlannedRead& read : ReshardPlan(manifest).reads(ranges)) {
        const TensorRecord& tensor = manifest.tensors[read.elements.tensor];
        EXPECT_EQ(read.bytes, static_cast<uint64_t>(read.elements.end - read.elements.begin) * 4);
        for (int64_t at = read.elements.begin; at < read.elements.end; ++at)
          ++seen[read.elements.tensor][static_cast<size_t>(at)];
        const auto piece =
            std::find_if(tensor.pieces.begin(), tensor.pieces.end(),
                         [&](const Piece& p) { return read.elements.begin < p.end; });
        EXPECT_EQ(read.file, piece->file);
        EXPECT_EQ(read.offset,
                  piece->offset + static_cast<uint64_t>(read.elements.begin - piece->begin) * 4);
      }
    for (const auto& tensor : seen)
      for (const int count : tensor) ASSERT_EQ(count, 1) << saved << " to " << wanted;
  }
}

TEST(ReshardPlanTest, FromFourThousandRanksToThreeThousandTheReadsStayFew) {
  const Manifest manifest = sharded(some_sizes(100'000), 4096);
  const auto wanted = parts(manifest, 3000);
  const ReshardPlan plan(manifest);
  const std::clock_t begin = std::clock();
  size_t reads = 0;
  uint64_t bytes = 0;
  for (const auto& ranges : wanted)
    for (const PlannedRead& read : plan.reads(ranges)) {
      ++reads;
      bytes += read.bytes;
    }
  std::printf("all ranks' plans: %zu reads, %.3f s of CPU time\n", reads,
              static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  // Each border of a tensor, of a saving and of a reading rank begins at most one.
  EXPECT_LE(reads, 100'000u + 4096 + 3000);
  EXPECT_EQ(bytes, manifest.num_bytes());
}

TEST(ReshardPlanTest, RangesThatATensorDoesNotHaveAreRefused) {
  const Manifest manifest = sharded({10}, 2);
  const ReshardPlan plan(manifest);
  for (const ElementRange& bad : {ElementRange{1, 0, 1}, ElementRange{0, -1, 2},
                                  ElementRange{0, 5, 11}, ElementRange{0, 5, 4}})
    expect_error(Code::kInvalidArgument, {"reshard"}, [&] { plan.reads(std::span(&bad, 1)); });
  EXPECT_TRUE(plan.reads(std::vector<ElementRange>{{0, 5, 5}}).empty());
}

TEST(ShareAmongTest, RanksWriteAboutTheSame) {
  std::vector<uint64_t> bytes;
  for (const int64_t size : some_sizes(1000)) bytes.push_back(static_cast<uint64_t>(size));
  const uint64_t total = std::accumulate(bytes.begin(), bytes.end(), uint64_t{0});
  for (const int ranks : {1, 2, 3, 8}) {
    std::vector<uint64_t> load(static_cast<size_t>(ranks));
    const std::vector<int> writers = share_among(bytes, ranks);
    for (size_t i = 0; i < bytes.size(); ++i) load[static_cast<size_t>(writers[i])] += bytes[i];
    for (const uint64_t one : load)
      EXPECT_LE(one * static_cast<uint64_t>(ranks), total + total / 20) << ranks;
  }
  EXPECT_EQ(share_among(std::vector<uint64_t>{5, 9}, 2), (std::vector<int>{1, 0}));
  EXPECT_TRUE(share_among({}, 4).empty());
}

std::vector<SavedStep> hourly(int count) {
  std::vector<SavedStep> steps;
  for (int i = 1; i <= count; ++i)
    steps.push_back({.step = static_cast<uint64_t>(i),
                     .created_ms = static_cast<uint64_t>(i) * 1'800'000,  // every half hour
                     .metric = (i * 7) % 10});
  return steps;
}

TEST(RetentionTest, TheNewestStay) {
  EXPECT_EQ(steps_to_remove(hourly(7), {.max_to_keep = 5}), (std::vector<uint64_t>{1, 2}));
  EXPECT_TRUE(steps_to_remove(hourly(5), {.max_to_keep = 5}).empty());
  EXPECT_TRUE(steps_to_remove(hourly(50), {.max_to_keep = {}}).empty());
  EXPECT_TRUE(steps_to_remove({}, {}).empty());
}

TEST(RetentionTest, OneOfEverySoManyHoursStays) {
  EXPECT_EQ(steps_to_remove(hourly(8), {.max_to_keep = 1, .keep_every_n_hours = 1.0}),
            (std::vector<uint64_t>{2, 4, 6}));
}

TEST(RetentionTest, TheBestStay) {
  // Metrics of 1 … 8: 7 4 1 8 5 2 9 6.
  EXPECT_EQ(steps_to_remove(hourly(8), {.max_to_keep = 1, .keep_best = 2}),
            (std::vector<uint64_t>{1, 2, 4, 5, 7}));
  EXPECT_EQ(
      steps_to_remove(hourly(8), {.max_to_keep = 1, .keep_best = 1, .better = Better::kLarger}),
      (std::vector<uint64_t>{1, 2, 3, 4, 5, 6}));
  std::vector<SavedStep> steps = hourly(4);
  steps[2].metric = std::nan("");
  steps[1].metric.reset();
  EXPECT_EQ(steps_to_remove(steps, {.max_to_keep = 1, .keep_best = 1}),
            (std::vector<uint64_t>{2, 3}));
}

TEST(RetentionTest, OptionsThatKeepNothingAreRefused) {
  for (const RetentionOptions& bad :
       {RetentionOptions{.max_to_keep = 0}, RetentionOptions{.keep_every_n_hours = 0.0},
        RetentionOptions{.keep_best = -1}})
    expect_error(Code::kInvalidArgument, {"checkpoints: got"}, [&] { check(bad); });
}

}  // namespace
}  // namespace cohort::checkpoint
