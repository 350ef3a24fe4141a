#include "tests/data/support.h"

namespace cohort::data {
namespace {

using ::testing::HasSubstr;

Element next_number(const Element& e) { return {Tensor::scalar(e[0].item<int64_t>() + 1)}; }
bool odd(const Element& e) { return numbers_of(e[0])[0] % 2 == 1; }
Element unchanged(const Element& e) { return e; }

std::vector<Dataset> kinds_with_positions() {
  const Dataset rows = Dataset::range(23);
  return {
      rows,
      rows.batch(4),
      rows.batch(4, {.drop_remainder = true}),
      rows.shuffle(23).batch(4),
      rows.shuffle(5).batch(4).prefetch(3),
      rows.shuffle(5).repeat(3).batch(4),
      rows.batch(3).shuffle(4).repeat(2),
      rows.repeat(4).shard(3, 1).batch(2),
      rows.filter(odd).shuffle(4).batch(2),
      rows.map(next_number).shuffle(6).batch(3),
      rows.map(next_number, {.num_parallel_calls = 3}).batch(3).prefetch(2),
      rows.batch(5).rebatch({2, 3, 0, 1}),
      rows.batch(5).map(unchanged).rebatch({2, 3, 0, 1}).prefetch(1),
      rows.batch(5).map(unchanged).unbatch().batch(4).legacy_rebatch(3),
      Dataset::zip({rows.shuffle(9), rows.skip(2).batch(2)}),
      rows.take(7).concatenate(rows.skip(11).shuffle(3)).batch(2),
      rows.map(next_number).concatenate(rows.shuffle(3)).shuffle(4),
      rows.shuffle(23).cache().batch(4),
      rows.batch(4).map(unchanged).shuffle(3).cache().repeat(2),
      rows.shuffle(7).enumerate(5).batch(3),
      Dataset::from_tensors({Tensor::scalar<int64_t>(3)}).repeat(5),
      rows.batch(2).prefetch(2).take(7).skip(2).prefetch(1),
  };
}

TEST(PositionTest, ResumingAnywhereContinuesExactly) {
  for (const Dataset& dataset : kinds_with_positions()) {
    const IterateOptions options{.seed = 11, .epoch = 3};
    const Batches all = batches_of(dataset, options);
    ASSERT_GT(all.size(), 2u) << dataset.to_string();
    Iterator iterator = dataset.iterate(options);
    for (size_t k = 0; k <= all.size(); ++k) {
      const Position saved = Position::from_bytes(iterator.position().to_bytes());
      EXPECT_EQ(saved, iterator.position());
      Iterator resumed = dataset.resume(saved);
      EXPECT_EQ(rest_of(resumed), Batches(all.begin() + static_cast<int64_t>(k), all.end()))
          << dataset.to_string() << " at " << k;
      if (k < all.size()) {
        ASSERT_NE(iterator.next(), nullptr);
      }
    }
  }
}

/// Rows are passed over many at a time: as many as a shuffle's buffer has, fewer, and more.
TEST(PositionTest, ResumingFarBehindTheBeginningContinuesExactly) {
  const Dataset rows = Dataset::range(1000);
  for (const Dataset& dataset :
       {rows.shuffle(1000), rows.shuffle(5000), rows.shuffle(999), rows.shuffle(300),
        rows.shuffle(2), rows.shuffle(1), rows.shuffle(128).shuffle(500), rows.take(0).shuffle(3),
        rows.shuffle(300).repeat(3), rows.repeat(3).shuffle(1500), rows.shuffle(700).filter(odd)}) {
    const IterateOptions options{.seed = 5, .epoch = 2};
    const Batches all = batches_of(dataset, options);
    for (const size_t k : {0, 1, 127, 128, 129, 256, 300, 699, 700, 701, 872, 999, 1000, 2500}) {
      if (k > all.size()) continue;
      Position position = dataset.iterate(options).position();
      position.element = static_cast<int64_t>(k);
      Iterator resumed = dataset.resume(position);
      EXPECT_EQ(rest_of(resumed), Batches(all.begin() + static_cast<int64_t>(k), all.end()))
          << dataset.to_string() << " at " << k;
    }
  }
}

TEST(PositionTest, AfterTheEndIsTheNextEpoch) {
  const Dataset dataset = Dataset::range(6).shuffle(6).batch(4).prefetch(2);
  Iterator iterator = dataset.iterate({.seed = 4, .epochs = 2});
  const Batches first = rest_of(iterator);
  const Position position = iterator.position();
  EXPECT_EQ(position.epoch, 1);
  EXPECT_EQ(position.element, 0);
  Iterator resumed = dataset.resume(position);
  EXPECT_EQ(rest_of(resumed), rest_of(iterator));
}

TEST(PositionTest, ResumedIteratorsRunThroughTheFollowingEpochs) {
  const Dataset dataset = Dataset::range(10).shuffle(10).batch(3).prefetch(2);
  Iterator iterator = dataset.iterate({.epochs = 3});
  iterator.next();
  iterator.next();
  Iterator resumed = dataset.resume(iterator.position(), 3);
  for (int epoch = 0; epoch < 3; ++epoch) EXPECT_EQ(rest_of(resumed), rest_of(iterator));
  EXPECT_EQ(resumed.position(), iterator.position());
}

TEST(PositionTest, EndlessDatasetsResumeWithoutReplayingTheirEpochs) {
  const Dataset dataset = Dataset::range(100).shuffle(100).repeat().batch(10);
  Position position = dataset.iterate().position();
  position.element = int64_t{10} << 40;  // element by element this would take days
  Iterator resumed = dataset.resume(position);
  ASSERT_NE(resumed.next(), nullptr);
  EXPECT_EQ(resumed.position().element, (int64_t{10} << 40) + 1);
}

TEST(PositionTest, PositionsOfOtherDatasetsAreRefused) {
  const Dataset dataset = Dataset::range(10).shuffle(5).batch(2);
  const Position position = dataset.iterate().position();
  EXPECT_THAT(error_of([&] { Dataset::range(10).shuffle(6).batch(2).resume(position); }),
              HasSubstr("resume: got a position of another dataset; want one of range(0, 10, 1)"
                        ".shuffle(6).batch(2)"));
  Position beyond = position;
  beyond.element = 6;
  EXPECT_THROW(dataset.resume(beyond), Error);
  EXPECT_NO_THROW(dataset.prefetch(2).resume(position));  // the same elements
}

TEST(PositionTest, DamagedBytesAreRefused) {
  const std::string bytes = Dataset::range(3).iterate().position().to_bytes();
  EXPECT_EQ(bytes.size(), 40u);
  for (const std::string& damaged :
       {std::string(), bytes.substr(1), bytes + "x", "X" + bytes.substr(1),
        bytes.substr(0, 4) + "\x02" + bytes.substr(5)}) {
    try {
      Position::from_bytes(damaged);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kDataLoss);
    }
  }
}

}  // namespace
}  // namespace cohort::data
