#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/data/support.h"

namespace cohort::data {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

int64_t number_in(const Element& element) { return element[0].item<int64_t>(); }

Element times_ten(const Element& element) {
  return {Tensor::scalar<int64_t>(10 * number_in(element))};
}

Element throw_at_five(const Element& element) {
  if (number_in(element) == 5) throw std::runtime_error("no fives here");
  return element;
}

TEST(MapTest, AppliesTheFunctionInOrder) {
  EXPECT_EQ(values_of(Dataset::range(5).map(times_ten)), (Numbers{0, 10, 20, 30, 40}));
  EXPECT_EQ(batches_of(Dataset::range(5).map(times_ten).batch(2)),
            (Batches{{0, 10}, {20, 30}, {40}}));
}

TEST(MapTest, MayChangeTheNumberOfComponents) {
  const Dataset pairs = Dataset::range(3).map([](const Element& e) {
    return Element{e[0], Tensor::full(DType::kF32, Shape{2}, 0.5)};
  });
  EXPECT_EQ(pairs.num_components(), 2);
  EXPECT_EQ(pairs.batch(2).element_spec(),
            (ElementSpec{{DType::kI64, Shape{batch_dim()}}, {DType::kF32, Shape{batch_dim(), 2}}}));
}

TEST(MapTest, SpecOfAMappedBatchKeepsTheBatchDimension) {
  const Dataset batches = Dataset::range(10).batch(4);
  const auto to_float = [](const Element& e) {
    return Element{e[0].cast(DType::kF32).reshape({-1, 1})};
  };
  EXPECT_EQ(batches.map(to_float).element_spec(),
            (ElementSpec{{DType::kF32, Shape{batch_dim(), 1}}}));
  const ElementSpec given{{DType::kF32, Shape{batch_dim(), 7}}};
  EXPECT_EQ(batches.map(to_float, {.element_spec = given}).element_spec(), given);
}

TEST(MapTest, SpecWithoutElementsMustBeGiven) {
  EXPECT_THAT(error_of([] { Dataset::range(0).map(times_ten).element_spec(); }),
              HasSubstr("want MapOptions.element_spec"));
}

TEST(MapTest, WhatIsNoExceptionIsAnErrorInWhateverThreadItIsThrown) {
  const auto throws = [](const Element&) -> Element { throw 42; };
  const auto refuses = [](const Element&) -> bool { throw 42; };
  const Dataset range = Dataset::range(8);
  for (const Dataset& dataset :
       {range.map(throws), range.map(throws, {.num_parallel_calls = 2}),
        range.map(throws).prefetch(2), range.filter(refuses), range.filter(refuses).prefetch(2)})
    EXPECT_THAT(error_of([&] { dataset.iterate().next(); }),
                HasSubstr("element 0: got an "
                          "exception that is no std::exception: int 42"));
}

TEST(MapTest, AnErrorNamesTheElementAndStays) {
  Iterator iterator = Dataset::range(8).map(throw_at_five).iterate();
  for (int i = 0; i < 5; ++i) ASSERT_NE(iterator.next(), nullptr);
  EXPECT_EQ(error_of([&] { iterator.next(); }), "map: element 5: no fives here");
  EXPECT_EQ(error_of([&] { iterator.next(); }), "map: element 5: no fives here");
}

TEST(MapTest, OurErrorsKeepTheirCode) {
  const Dataset failing = Dataset::range(3).map(
      [](const Element&) -> Element { throw OutOfRange("lookup: got 9; want less"); });
  try {
    failing.iterate().next();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kOutOfRange);
    EXPECT_STREQ(error.what(), "map: element 0: lookup: got 9; want less");
  }
}

TEST(MapTest, RefusesEmptyResults) {
  const auto nothing = [](const Element&) { return Element{}; };
  const auto no_tensor = [](const Element&) { return Element{Tensor()}; };
  EXPECT_THROW(values_of(Dataset::range(1).map(nothing)), Error);
  EXPECT_THROW(values_of(Dataset::range(1).map(no_tensor)), Error);
  EXPECT_THROW(Dataset::range(1).map(times_ten, {.num_parallel_calls = 0}), Error);
}

TEST(MapTest, AFunctionMayReturnItsArgument) {
  const auto same = [](const Element& e) { return e; };
  for (const Dataset& dataset : {Dataset::range(20).batch(3).map(same).prefetch(2),
                                 Dataset::range(20).batch(3).map(same, {.num_parallel_calls = 3})})
    EXPECT_EQ(values_of(dataset), iota(0, 20));
}

TEST(MapTest, PredicateErrorsNameTheElement) {
  const auto failing = [](const Element& e) -> bool {
    if (number_in(e) == 2) throw std::runtime_error("bad row");
    return true;
  };
  EXPECT_EQ(error_of([&] { values_of(Dataset::range(5).filter(failing)); }),
            "filter: element 2: bad row");
}

TEST(CastTest, ScalesPixelsWhereverItStands) {
  std::vector<uint8_t> pixels(5 * 37);
  std::iota(pixels.begin(), pixels.end(), uint8_t{70});
  const Tensor images = Tensor::from(pixels, {5, 37});
  const Dataset rows =
      Dataset::from_tensor_slices({images, Tensor::from<int32_t>({4, 3, 2, 1, 0})});
  const auto same = [](const Element& e) { return e; };
  const double scale = 1.0 / 255;
  for (const Dataset& dataset :
       {rows.cast(0, DType::kF32, scale).batch(2), rows.batch(2).cast(0, DType::kF32, scale),
        rows.cast(0, DType::kF32).cast(0, DType::kF32, scale).batch(2),
        rows.map(same).cast(0, DType::kF32, scale).batch(2),
        rows.batch(2).prefetch(2).cast(0, DType::kF32, scale),
        rows.batch(2).map(same).cast(0, DType::kF32, scale).prefetch(1)}) {
    EXPECT_EQ(dataset.element_spec()[0], (ComponentSpec{DType::kF32, Shape{batch_dim(), 37}}));
    std::vector<float> values;
    Numbers labels;
    for (const Element& batch : dataset.iterate()) {
      const auto part = batch[0].values<float>();
      values.insert(values.end(), part.begin(), part.end());
      for (const int64_t label : numbers_of(batch[1])) labels.push_back(label);
    }
    ASSERT_EQ(values.size(), pixels.size());
    for (size_t i = 0; i < pixels.size(); ++i)
      EXPECT_EQ(values[i], static_cast<float>(pixels[i]) * static_cast<float>(scale)) << i;
    EXPECT_EQ(labels, (Numbers{4, 3, 2, 1, 0}));
  }
}

TEST(CastTest, ConvertsBetweenAllDTypes) {
  constexpr DType kAll[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kI32,
                            DType::kI64, DType::kU8,  DType::kI8,   DType::kBool};
  for (const DType from : kAll)
    for (const DType to : kAll) {
      const Tensor source = Tensor::full(from, Shape{3}, 1.0);
      Iterator iterator = Dataset::from_tensor_slices({source}).cast(0, to).batch(3).iterate();
      EXPECT_TRUE(bitwise_equal((*iterator.next())[0], source.cast(to)))
          << dtype_name(from) << " to " << dtype_name(to);
    }
}

TEST(CastTest, TwoConversionsAreNotOne) {
  const Dataset rows = Dataset::from_tensor_slices({Tensor::from({0.9f, 1.9f})});
  EXPECT_EQ(values_of(rows.cast(0, DType::kI32).cast(0, DType::kF32)), (Numbers{0, 1}));
}

TEST(MapConcurrentTest, ParallelCallsKeepTheOrder) {
  const auto slow_for_even = [](const Element& e) {
    volatile int64_t spin = number_in(e) % 2 == 0 ? 20000 : 10;
    while (spin > 0) spin = spin - 1;
    return times_ten(e);
  };
  for (const int threads : {2, 3, 8}) {
    const Numbers values =
        values_of(Dataset::range(200).map(slow_for_even, {.num_parallel_calls = threads}));
    ASSERT_EQ(values.size(), 200u);
    for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], 10 * static_cast<int64_t>(i));
  }
}

TEST(MapConcurrentTest, CallsDoRunAtTheSameTime) {
  std::mutex mutex;
  std::condition_variable changed;
  int inside = 0;
  const auto meet = [&](const Element& e) {  // returns when two calls have been inside together
    std::unique_lock lock(mutex);
    ++inside;
    changed.notify_all();
    if (!changed.wait_for(lock, std::chrono::seconds(60), [&] { return inside >= 2; }))
      throw std::runtime_error("alone for a minute");
    return e;
  };
  EXPECT_EQ(values_of(Dataset::range(2).map(meet, {.num_parallel_calls = 2})), iota(0, 2));
}

TEST(MapConcurrentTest, AnErrorComesAtItsPlace) {
  for (const Dataset& dataset :
       {Dataset::range(50).map(throw_at_five, {.num_parallel_calls = 4}),
        Dataset::range(50).map(throw_at_five, {.num_parallel_calls = 4}).prefetch(3)}) {
    Iterator iterator = dataset.iterate();
    for (int i = 0; i < 5; ++i) ASSERT_NE(iterator.next(), nullptr);
    EXPECT_EQ(error_of([&] { iterator.next(); }), "map: element 5: no fives here");
  }
}

TEST(MapConcurrentTest, AnErrorOfTheInputComesThrough) {
  const Dataset dataset =
      Dataset::range(50)
          .map(throw_at_five)
          .map(times_ten,
               {.num_parallel_calls = 3, .element_spec = ElementSpec{{DType::kI64, Shape{}}}});
  Iterator iterator = dataset.iterate();
  for (int i = 0; i < 5; ++i) ASSERT_NE(iterator.next(), nullptr);
  EXPECT_EQ(error_of([&] { iterator.next(); }), "map: element 5: no fives here");
}

TEST(MapConcurrentTest, ThreadsEndWithTheIterator) {
  std::atomic<int> calls{0};
  const auto count = [&](const Element& e) {
    ++calls;
    return e;
  };
  const Dataset dataset = Dataset::range(1000000).map(count, {.num_parallel_calls = 4});
  for (const int reads : {0, 1, 5}) {
    Iterator iterator = dataset.iterate();
    for (int i = 0; i < reads; ++i) ASSERT_NE(iterator.next(), nullptr);
  }
  const int after = calls;
  EXPECT_LT(after, 1000);  // ahead by no more than its slots
  std::this_thread::yield();
  EXPECT_EQ(calls, after);
}

}  // namespace
}  // namespace cohort::data
