#include "tests/data/support.h"

namespace cohort::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

TEST(DatasetTest, FromTensorsIsOneElement) {
  const Dataset dataset =
      Dataset::from_tensors({Tensor::from<int64_t>({1, 2, 3}), Tensor::scalar<int64_t>(7)});
  EXPECT_EQ(dataset.cardinality(), 1);
  EXPECT_EQ(dataset.num_components(), 2);
  EXPECT_EQ(batches_of(dataset), (Batches{{1, 2, 3}}));
  EXPECT_EQ(batches_of(dataset, {}, 1), (Batches{{7}}));
}

TEST(DatasetTest, SlicesKeepComponentsTogether) {
  const Dataset dataset = Dataset::from_tensor_slices(
      {Tensor::from<int64_t>({1, 2, 3, 4, 5, 6}, {3, 2}), Tensor::from<int64_t>({10, 20, 30})});
  EXPECT_EQ(dataset.cardinality(), 3);
  EXPECT_EQ(batches_of(dataset), (Batches{{1, 2}, {3, 4}, {5, 6}}));
  EXPECT_EQ(batches_of(dataset, {}, 1), (Batches{{10}, {20}, {30}}));
  EXPECT_EQ(dataset.element_spec(), (ElementSpec{{DType::kI64, Shape{2}}, {DType::kI64, Shape{}}}));
}

TEST(DatasetTest, SlicesReadStridedTensors) {
  const Tensor columns = Tensor::from<int64_t>({1, 2, 3, 4, 5, 6}, {2, 3}).transpose({1, 0});
  EXPECT_EQ(batches_of(Dataset::from_tensor_slices({columns}).batch(2)),
            (Batches{{1, 4, 2, 5}, {3, 6}}));
}

TEST(DatasetTest, SlicesRefuseUnequalNumbersOfRows) {
  const std::string message = error_of([] {
    Dataset::from_tensor_slices({Tensor(DType::kF32, {4, 2}), Tensor(DType::kI64, {5})});
  });
  EXPECT_THAT(message, HasSubstr("from_tensor_slices: got 5 rows in component 1"));
  EXPECT_THROW(Dataset::from_tensor_slices({}), Error);
  EXPECT_THROW(Dataset::from_tensor_slices({Tensor::scalar(1.0f)}), Error);
  EXPECT_THROW(Dataset::from_tensor_slices({Tensor()}), Error);
}

TEST(DatasetTest, RangeCountsInBothDirections) {
  EXPECT_THAT(values_of(Dataset::range(4)), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(values_of(Dataset::range(3, 10, 3)), ElementsAre(3, 6, 9));
  EXPECT_THAT(values_of(Dataset::range(5, 0, -2)), ElementsAre(5, 3, 1));
  EXPECT_THAT(values_of(Dataset::range(5, 5)), ElementsAre());
  EXPECT_EQ(Dataset::range(INT64_MIN, INT64_MIN + 3).cardinality(), 3);
  EXPECT_THROW(Dataset::range(0, 5, 0), Error);
  EXPECT_THROW(Dataset::range(INT64_MIN, INT64_MAX), Error);
}

TEST(DatasetTest, BatchKeepsOrDropsTheRemainder) {
  const Dataset rows = Dataset::range(7);
  EXPECT_EQ(batches_of(rows.batch(3)), (Batches{{0, 1, 2}, {3, 4, 5}, {6}}));
  EXPECT_EQ(batches_of(rows.batch(3, {.drop_remainder = true})), (Batches{{0, 1, 2}, {3, 4, 5}}));
  EXPECT_EQ(rows.batch(3).cardinality(), 3);
  EXPECT_EQ(rows.batch(3, {.drop_remainder = true}).cardinality(), 2);
  EXPECT_EQ(rows.batch(7).cardinality(), 1);
}

TEST(DatasetTest, BatchDimensionIsASymbolUnlessTheRemainderIsDropped) {
  const Dataset rows = Dataset::from_tensor_slices({Tensor(DType::kU8, {5, 28, 28})});
  EXPECT_EQ(rows.batch(2).element_spec(), (ElementSpec{{DType::kU8, Shape{batch_dim(), 28, 28}}}));
  EXPECT_EQ(rows.batch(2, {.drop_remainder = true}).element_spec(),
            (ElementSpec{{DType::kU8, Shape{2, 28, 28}}}));
}

TEST(DatasetTest, BatchOfBatchesStacks) {
  const Dataset nested = Dataset::range(8).batch(2).batch(3);
  Iterator iterator = nested.iterate();
  const Element* first = iterator.next();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ((*first)[0].shape(), (Shape{3, 2}));
  EXPECT_EQ(batches_of(nested), (Batches{{0, 1, 2, 3, 4, 5}, {6, 7}}));
}

TEST(DatasetTest, ABatchOfUnequalShapesIsAnError) {
  const std::string message = error_of([] { batches_of(Dataset::range(5).batch(2).batch(3)); });
  EXPECT_THAT(message, HasSubstr("batch: got int64[1] as component 0 of row 2 and int64[2]"));
}

TEST(DatasetTest, RefusesBadArguments) {
  const Dataset rows = Dataset::range(3);
  EXPECT_THAT(error_of([&] { rows.batch(0); }),
              HasSubstr("batch: got batch size 0; want 1 or more"));
  EXPECT_THROW(rows.batch(-2), Error);
  EXPECT_THROW(rows.take(-2), Error);
  EXPECT_THROW(rows.skip(-2), Error);
  EXPECT_THROW(rows.repeat(-2), Error);
  EXPECT_THROW(rows.shuffle(0), Error);
  EXPECT_THROW(rows.prefetch(-2), Error);
  EXPECT_THROW(rows.shard(0, 0), Error);
  EXPECT_THROW(rows.shard(2, 2), Error);
  EXPECT_THROW(rows.shard(2, -1), Error);
  EXPECT_THROW(rows.map(nullptr), Error);
  EXPECT_THROW(rows.filter(nullptr), Error);
  EXPECT_THROW(rows.cast(1, DType::kF32), Error);
  EXPECT_THROW(rows.cast(0, DType::kI32, 0.5), Error);
  EXPECT_THROW(rows.iterate({.epoch = -1}), Error);
  EXPECT_THROW(rows.iterate({.epochs = 0}), Error);
  EXPECT_THROW(Dataset::zip({}), Error);
}

TEST(DatasetTest, TakeSkipAndShardChooseElements) {
  const Dataset rows = Dataset::range(10);
  EXPECT_EQ(values_of(rows.take(3)), iota(0, 3));
  EXPECT_EQ(values_of(rows.take(-1)), iota(0, 10));
  EXPECT_EQ(values_of(rows.skip(7)), iota(7, 10));
  EXPECT_EQ(values_of(rows.skip(20)), Numbers{});
  EXPECT_EQ(values_of(rows.skip(-1)), Numbers{});
  EXPECT_THAT(values_of(rows.shard(3, 1)), ElementsAre(1, 4, 7));
  EXPECT_EQ(rows.shard(3, 0).cardinality(), 4);
  EXPECT_EQ(rows.shard(3, 1).cardinality(), 3);
  EXPECT_EQ(batches_of(rows.batch(2).shard(2, 1)), (Batches{{2, 3}, {6, 7}}));
  EXPECT_EQ(batches_of(rows.batch(3).skip(1).take(2)), (Batches{{3, 4, 5}, {6, 7, 8}}));
}

TEST(DatasetTest, RepeatGoesRoundAndRound) {
  EXPECT_THAT(values_of(Dataset::range(2).repeat(3)), ElementsAre(0, 1, 0, 1, 0, 1));
  EXPECT_THAT(values_of(Dataset::range(2).repeat().take(5)), ElementsAre(0, 1, 0, 1, 0));
  EXPECT_EQ(values_of(Dataset::range(2).repeat(0)), Numbers{});
  EXPECT_EQ(values_of(Dataset::range(0).repeat()), Numbers{});  // forever nothing is nothing
  EXPECT_EQ(batches_of(Dataset::range(3).repeat(2).batch(4)), (Batches{{0, 1, 2, 0}, {1, 2}}));
  EXPECT_EQ(batches_of(Dataset::range(3).batch(2).repeat(2)), (Batches{{0, 1}, {2}, {0, 1}, {2}}));
}

TEST(DatasetTest, CardinalityIsKnownInfiniteOrUnknown) {
  const Dataset rows = Dataset::range(10);
  EXPECT_EQ(rows.repeat().cardinality(), kInfiniteCardinality);
  EXPECT_EQ(rows.repeat().batch(3).cardinality(), kInfiniteCardinality);
  EXPECT_EQ(rows.repeat().take(4).cardinality(), 4);
  EXPECT_EQ(rows.repeat(3).cardinality(), 30);
  EXPECT_EQ(rows.skip(3).cardinality(), 7);
  EXPECT_EQ(rows.filter([](const Element&) { return true; }).cardinality(), kUnknownCardinality);
  EXPECT_EQ(rows.map([](const Element& e) { return e; }).prefetch().cardinality(), 10);
  EXPECT_EQ(Dataset::zip({rows, rows.repeat()}).cardinality(), 10);
}

TEST(DatasetTest, FilterKeepsWhatThePredicateAccepts) {
  const auto even = [](const Element& e) { return e[0].item<int64_t>() % 2 == 0; };
  EXPECT_EQ(batches_of(Dataset::range(9).filter(even).batch(2)), (Batches{{0, 2}, {4, 6}, {8}}));
  const auto sum_is_odd = [](const Element& e) {
    const Numbers numbers = numbers_of(e[0]);
    return std::accumulate(numbers.begin(), numbers.end(), int64_t{0}) % 2 == 1;
  };
  EXPECT_EQ(batches_of(Dataset::range(8).batch(3).filter(sum_is_odd)),
            (Batches{{0, 1, 2}, {6, 7}}));
}

TEST(DatasetTest, ZipPutsComponentsSideBySide) {
  const Dataset a = Dataset::range(4), b = Dataset::range(10, 20);
  const Dataset plain = Dataset::zip({a, b});
  EXPECT_EQ(plain.cardinality(), 4);
  EXPECT_EQ(batches_of(plain.batch(3), {}, 1), (Batches{{10, 11, 12}, {13}}));
  const Dataset moved = Dataset::zip({a.skip(1), b.batch(2)});
  EXPECT_EQ(batches_of(moved, {}, 0), (Batches{{1}, {2}, {3}}));
  EXPECT_EQ(batches_of(moved, {}, 1), (Batches{{10, 11}, {12, 13}, {14, 15}}));
}

TEST(DatasetTest, ZipStaysTogetherWhenShuffled) {
  const Dataset pairs = Dataset::zip({Dataset::range(50), Dataset::range(100, 150)}).shuffle(50);
  for (const Element& pair : pairs.iterate({.seed = 3}))
    EXPECT_EQ(pair[1].item<int64_t>(), pair[0].item<int64_t>() + 100);
}

TEST(DatasetTest, ZeroRowsAreALegalDataset) {
  const Dataset none =
      Dataset::from_tensor_slices({Tensor(DType::kF32, {0, 3}), Tensor(DType::kI64, {0})});
  EXPECT_EQ(none.cardinality(), 0);
  EXPECT_EQ(none.shuffle(5).batch(2).prefetch(2).cardinality(), 0);
  EXPECT_EQ(batches_of(none.shuffle(5).batch(2).prefetch(2)).size(), 0u);
  EXPECT_EQ(none.batch(2).element_spec()[0].shape, (Shape{batch_dim(), 3}));
}

TEST(DatasetTest, DescriptionsReadAsTheChain) {
  EXPECT_EQ(Dataset::range(9).shuffle(4, {.seed = 1}).batch(2).to_string(),
            "range(0, 9, 1).shuffle(4, seed=1).batch(2)");
}

TEST(DatasetTest, AHeldTensorKeepsItsValues) {
  Iterator iterator = Dataset::range(6).batch(2).iterate();
  const Tensor held = (*iterator.next())[0];
  while (iterator.next()) {
  }
  EXPECT_EQ(numbers_of(held), (Numbers{0, 1}));
}

TEST(DatasetTest, MemoryOfABatchIsUsedAgain) {
  Iterator iterator = Dataset::range(6).batch(2).iterate();
  const void* first = (*iterator.next())[0].raw();
  EXPECT_EQ((*iterator.next())[0].raw(), first);
}

}  // namespace
}  // namespace cohort::data
