#include "cohort/data/to_categorical.h"
#include "tests/data/support.h"

namespace cohort::data {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

Element as_it_is(const Element& e) { return e; }

TEST(ConcatenateTest, OneAfterTheOther) {
  const Dataset a = Dataset::range(3), b = Dataset::range(10, 12);
  for (const Dataset& both :
       {a.concatenate(b), a.map(as_it_is).concatenate(b), a.concatenate(b.map(as_it_is))}) {
    EXPECT_EQ(both.cardinality(), 5);
    EXPECT_EQ(values_of(both), (Numbers{0, 1, 2, 10, 11})) << both.to_string();
    EXPECT_EQ(batches_of(both.skip(2).batch(2)), (Batches{{2, 10}, {11}})) << both.to_string();
  }
}

TEST(ConcatenateTest, SourcesStayRandomAccess) {
  const Dataset parts =
      Dataset::from_tensor_slices({Tensor::from<int64_t>({1, 2, 3, 4}, {2, 2})})
          .concatenate(Dataset::from_tensor_slices({Tensor::from<int64_t>({5, 6}, {1, 2})}))
          .concatenate(Dataset::from_tensor_slices({Tensor::from<int64_t>({7, 8, 9, 10}, {2, 2})}));
  EXPECT_EQ(flat(batches_of(parts.batch(4))), iota(1, 11));
  EXPECT_THAT(flat(batches_of(parts.shuffle(5).batch(2))), UnorderedElementsAreArray(iota(1, 11)));
}

TEST(ConcatenateTest, UnequalStructuresAreRefused) {
  const Dataset numbers = Dataset::range(3);
  EXPECT_THAT(error_of([&] { numbers.concatenate(numbers.cast(0, DType::kF32)); }),
              HasSubstr("concatenate: got int64[] and float32[] as component 0"));
  EXPECT_THROW(numbers.concatenate(Dataset::zip({numbers, numbers})), Error);
  EXPECT_THROW(numbers.concatenate(numbers.batch(2)), Error);
  EXPECT_EQ(numbers.batch(2, {.drop_remainder = true}).concatenate(numbers.batch(3)).element_spec(),
            (ElementSpec{{DType::kI64, Shape{batch_dim()}}}));
}

TEST(EnumerateTest, CountsFromItsStart) {
  const Dataset counted = Dataset::range(20, 23).enumerate(5);
  EXPECT_EQ(counted.cardinality(), 3);
  EXPECT_EQ(flat(batches_of(counted, {}, 0)), iota(5, 8));
  EXPECT_EQ(flat(batches_of(counted, {}, 1)), iota(20, 23));
  EXPECT_EQ(flat(batches_of(Dataset::range(9).shuffle(9).enumerate(), {}, 0)), iota(0, 9));
}

TEST(CacheTest, CallsTheFunctionOncePerElement) {
  int calls = 0;
  const Dataset cached = Dataset::range(6)
                             .map(
                                 [&](const Element& e) {
                                   ++calls;
                                   return e;
                                 },
                                 {.element_spec = ElementSpec{{DType::kI64, Shape{}}}})
                             .cache();
  EXPECT_EQ(values_of(cached.batch(4)), iota(0, 6));
  EXPECT_EQ(calls, 6);
  EXPECT_EQ(values_of(cached, {.epoch = 1}), iota(0, 6));
  EXPECT_EQ(values_of(cached.repeat(3)).size(), 18u);
  EXPECT_EQ(calls, 6);
}

TEST(CacheTest, AnIncompletePassKeepsNothing) {
  int calls = 0;
  const Dataset cached = Dataset::range(6)
                             .map(
                                 [&](const Element& e) {
                                   ++calls;
                                   return e;
                                 },
                                 {.element_spec = ElementSpec{{DType::kI64, Shape{}}}})
                             .cache();
  EXPECT_EQ(values_of(cached.take(3)), iota(0, 3));
  EXPECT_EQ(values_of(cached), iota(0, 6));
  EXPECT_EQ(calls, 9);
}

TEST(CacheTest, KeepsItsElementsWhateverReadersDo) {
  const Dataset cached = Dataset::range(12).batch(4).map(as_it_is).cache();
  const Dataset reused = cached.cast(0, DType::kF32).prefetch(1).repeat(3);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(values_of(reused).size(), 36u);
  EXPECT_EQ(values_of(cached), iota(0, 12));
}

TEST(CacheTest, OtherSeedsGetTheirOwnOrder) {
  const Dataset cached = Dataset::range(30).shuffle(30).cache();
  const Numbers first = values_of(cached, {.seed = 1});
  EXPECT_NE(values_of(cached, {.seed = 2}), first);
  EXPECT_EQ(values_of(cached, {.seed = 1, .epoch = 7}), first);
  EXPECT_THROW(Dataset::range(3).repeat().cache(), Error);
}

TEST(ToCategoricalTest, IsOneHot) {
  const Tensor one_hot = to_categorical(Tensor::from<int64_t>({0, 2, 1}));
  EXPECT_TRUE(
      bitwise_equal(one_hot, Tensor::from({1.f, 0.f, 0.f, 0.f, 0.f, 1.f, 0.f, 1.f, 0.f}, {3, 3})));
  EXPECT_EQ(to_categorical(Tensor::from<uint8_t>({1, 0}, {2, 1}), 4).shape(), (Shape{2, 4}));
  EXPECT_EQ(to_categorical(Tensor::from<int32_t>({1, 0, 1, 0}, {2, 2}), 4).shape(),
            (Shape{2, 2, 4}));
  EXPECT_EQ(to_categorical(Tensor(DType::kI64, {0}), 3).shape(), (Shape{0, 3}));
}

TEST(ToCategoricalTest, RefusesLabelsOutsideTheClasses) {
  EXPECT_THAT(error_of([] {
                to_categorical(Tensor::from<int64_t>({0, 3}), 3);
              }),
              HasSubstr("to_categorical: got label 3 at index 1; want 0 to 2"));
  EXPECT_THROW(to_categorical(Tensor::from<int64_t>({0, -1})), Error);
  EXPECT_THROW(to_categorical(Tensor::from<int64_t>({-5})), Error);
  EXPECT_THROW(to_categorical(Tensor::from({0.f})), Error);
  EXPECT_THROW(to_categorical(Tensor::from<int64_t>({0}), 0), Error);
}

}  // namespace
}  // namespace cohort::data
