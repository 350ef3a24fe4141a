#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/data/support.h"

namespace cohort::data {
namespace {

using ::testing::UnorderedElementsAreArray;

TEST(ShuffleTest, IsAPermutation) {
  for (const int64_t buffer : {1, 2, 7, 100, 1000})
    EXPECT_THAT(values_of(Dataset::range(100).shuffle(buffer)),
                UnorderedElementsAreArray(iota(0, 100)));
  EXPECT_NE(values_of(Dataset::range(100).shuffle(100)), iota(0, 100));
  EXPECT_EQ(values_of(Dataset::range(100).shuffle(1)), iota(0, 100));
}

TEST(ShuffleTest, SeedAndEpochAloneDecideTheOrder) {
  const Dataset dataset = Dataset::range(50).shuffle(50, {.seed = 5});
  const Numbers order = values_of(dataset, {.seed = 1, .epoch = 2});
  EXPECT_EQ(values_of(dataset, {.seed = 1, .epoch = 2}), order);
  EXPECT_EQ(flat(batches_of(dataset.batch(7).prefetch(3), {.seed = 1, .epoch = 2})), order);
  EXPECT_NE(values_of(dataset, {.seed = 1, .epoch = 3}), order);
  EXPECT_NE(values_of(dataset, {.seed = 2, .epoch = 2}), order);
  EXPECT_NE(values_of(Dataset::range(50).shuffle(50, {.seed = 6}), {.seed = 1, .epoch = 2}), order);
}

TEST(ShuffleTest, TheOrderIsTheSameOnEveryMachineAndVersion) {
  // tests/data/shuffle_order.py
  const Dataset rows = Dataset::range(8);
  EXPECT_EQ(values_of(rows.shuffle(8), {.seed = 42}), (Numbers{1, 5, 6, 7, 3, 4, 0, 2}));
  EXPECT_EQ(values_of(rows.shuffle(3), {.seed = 42}), (Numbers{0, 2, 4, 3, 5, 1, 6, 7}));
  EXPECT_EQ(values_of(rows.shuffle(8, {.seed = 7}), {.seed = 42, .epoch = 3}),
            (Numbers{5, 6, 7, 1, 3, 2, 4, 0}));
}

TEST(ShuffleTest, WithoutReshuffleEveryEpochHasOneOrder) {
  const Dataset frozen = Dataset::range(30).shuffle(30, {.reshuffle_each_iteration = false});
  EXPECT_EQ(values_of(frozen, {.epoch = 4}), values_of(frozen, {.epoch = 0}));
  const Numbers twice = values_of(frozen.repeat(2));
  EXPECT_TRUE(std::equal(twice.begin(), twice.begin() + 30, twice.begin() + 30));
}

TEST(ShuffleTest, RoundsOfARepetitionAreEpochs) {
  const Dataset dataset = Dataset::range(30).shuffle(30);
  Numbers both = values_of(dataset, {.epoch = 2});
  const Numbers fourth = values_of(dataset, {.epoch = 3});
  both.insert(both.end(), fourth.begin(), fourth.end());
  EXPECT_EQ(values_of(dataset.repeat(2), {.epoch = 1}), both);
}

TEST(ShuffleTest, EpochsOfOneIteratorAreThoseOfSeparateOnes) {
  for (const Dataset& dataset : {Dataset::range(20).shuffle(20).batch(6),
                                 Dataset::range(20).shuffle(20).batch(6).prefetch(2)}) {
    Iterator iterator = dataset.iterate({.seed = 9, .epoch = 1, .epochs = 3});
    for (int64_t epoch = 1; epoch < 4; ++epoch)
      EXPECT_EQ(rest_of(iterator), batches_of(dataset, {.seed = 9, .epoch = epoch}));
    EXPECT_EQ(iterator.next(), nullptr);
    EXPECT_EQ(iterator.next(), nullptr);
  }
}

TEST(ShuffleTest, ASmallBufferMovesNoElementForwardByMoreThanItsSize) {
  const Numbers order = values_of(Dataset::range(1000).shuffle(10));
  int64_t farthest_behind = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    EXPECT_LT(order[static_cast<size_t>(i)], i + 10);
    farthest_behind = std::max(farthest_behind, i - order[static_cast<size_t>(i)]);
  }
  EXPECT_GT(farthest_behind, 10);  // the delay has no bound
}

TEST(ShuffleTest, AFullBufferGivesEveryPermutationEquallyOften) {
  std::map<Numbers, int> counts;
  constexpr int kTrials = 24 * 1000;
  const Dataset dataset = Dataset::range(4).shuffle(4);
  for (int epoch = 0; epoch < kTrials; ++epoch) ++counts[values_of(dataset, {.epoch = epoch})];
  ASSERT_EQ(counts.size(), 24u);
  double chi2 = 0;
  for (const auto& [order, count] : counts) chi2 += std::pow(count - 1000.0, 2) / 1000.0;
  EXPECT_LT(chi2, 60.0);  // 23 degrees of freedom: exceeded with probability 4e-5
}

TEST(ShuffleTest, ChainedShufflesAreDifferentOnes) {
  const Dataset once = Dataset::range(200).shuffle(200), twice = once.shuffle(200);
  const Numbers first = values_of(once), second = values_of(twice);
  EXPECT_THAT(second, UnorderedElementsAreArray(first));
  Numbers squared(first.size());
  for (size_t i = 0; i < first.size(); ++i) squared[i] = first[static_cast<size_t>(first[i])];
  EXPECT_NE(second, squared);
}

TEST(ShuffleTest, BatchesCanBeShuffledToo) {
  const Batches batches = batches_of(Dataset::range(20).batch(2).shuffle(10));
  ASSERT_EQ(batches.size(), 10u);
  EXPECT_NE(flat(batches), iota(0, 20));
  EXPECT_THAT(flat(batches), UnorderedElementsAreArray(iota(0, 20)));
  for (const Numbers& batch : batches) EXPECT_EQ(batch[1], batch[0] + 1);
}

}  // namespace
}  // namespace cohort::data
