#include <atomic>
#include <chrono>
#include <semaphore>
#include <thread>

#include "tests/data/support.h"
#include "tests/support/thread_allocations.h"

namespace cohort::data {
namespace {

TEST(PrefetchConcurrentTest, GivesTheSameElements) {
  const Dataset batches = Dataset::range(1000).shuffle(100).batch(7);
  const Batches wanted = batches_of(batches);
  for (const int64_t size : {int64_t{1}, int64_t{2}, int64_t{5}, int64_t{1000}, kAutotune})
    EXPECT_EQ(batches_of(batches.prefetch(size)), wanted) << size;
  EXPECT_EQ(batches_of(batches.prefetch(0)), wanted);
  EXPECT_EQ(batches_of(batches.prefetch(2).prefetch(3).take(1000).prefetch()), wanted);
}

TEST(PrefetchConcurrentTest, SlowReadersAndSlowWritersLoseNothing) {
  const auto work = [](int64_t amount) {
    volatile int64_t spin = amount;
    while (spin > 0) spin = spin - 1;
  };
  for (const auto& [writer, reader] : {std::pair{0, 100000}, {100000, 0}, {5000, 5000}}) {
    const Dataset dataset = Dataset::range(300)
                                .map([&, amount = writer](const Element& e) {
                                  work(amount);
                                  return e;
                                })
                                .prefetch(4);
    Iterator iterator = dataset.iterate();
    Numbers got;
    while (const Element* element = iterator.next()) {
      got.push_back((*element)[0].item<int64_t>());
      work(reader);
    }
    EXPECT_EQ(got, iota(0, 300));
  }
}

TEST(PrefetchConcurrentTest, RunsAheadOfTheReaderByItsSize) {
  std::atomic<int> made{0};
  const Dataset dataset = Dataset::range(100)
                              .map([&](const Element& e) {
                                ++made;
                                made.notify_all();
                                return e;
                              })
                              .prefetch(6);
  Iterator iterator = dataset.iterate();
  for (int seen = made; seen < 6; seen = made) made.wait(seen);
  EXPECT_EQ(made, 6);
}

TEST(PrefetchConcurrentTest, AutotuneKeepsFewLargeElements) {
  std::atomic<int> made{0};
  const Tensor large(DType::kF32, {200000});
  {
    Iterator iterator = Dataset::range(100)
                            .map([&](const Element&) {
                              ++made;
                              made.notify_all();
                              return Element{large};
                            })
                            .prefetch()
                            .iterate();
    for (int seen = made; seen < 2; seen = made) made.wait(seen);
  }
  EXPECT_EQ(made, 2);
}

TEST(PrefetchConcurrentTest, DestructionEndsTheThreadWhateverItDoes) {
  const Dataset endless = Dataset::range(10).repeat().batch(4).prefetch(3);
  for (int i = 0; i < 200; ++i) {
    Iterator iterator = endless.iterate();
    for (int reads = 0; reads < i % 5; ++reads) ASSERT_NE(iterator.next(), nullptr);
  }
}

TEST(PrefetchConcurrentTest, NoCallAfterDestruction) {
  std::atomic<int> calls{0};
  {
    Iterator iterator = Dataset::range(100000)
                            .map([&](const Element& e) {
                              ++calls;
                              return e;
                            })
                            .prefetch(4)
                            .iterate();
    ASSERT_NE(iterator.next(), nullptr);
  }
  const int after = calls;
  EXPECT_LT(after, 20);
  std::this_thread::yield();
  EXPECT_EQ(calls, after);
}

TEST(PrefetchConcurrentTest, AWaitingReaderIsWoken) {
  std::binary_semaphore gate{0};
  const Dataset dataset = Dataset::range(2)
                              .map([&](const Element& e) {
                                gate.acquire();
                                return e;
                              })
                              .prefetch(1);
  Iterator iterator = dataset.iterate();
  for (int64_t i = 0; i < 2; ++i) {
    std::thread opener([&] { gate.release(); });
    const Element* element = iterator.next();
    ASSERT_NE(element, nullptr);
    EXPECT_EQ((*element)[0].item<int64_t>(), i);
    opener.join();
  }
}

TEST(PrefetchConcurrentTest, ErrorsReachTheReaderInTurn) {
  const Dataset dataset = Dataset::range(9)
                              .map([](const Element& e) -> Element {
                                if (e[0].item<int64_t>() == 3) throw std::logic_error("three");
                                return e;
                              })
                              .prefetch(8);
  Iterator iterator = dataset.iterate();
  for (int i = 0; i < 3; ++i) ASSERT_NE(iterator.next(), nullptr);
  EXPECT_EQ(error_of([&] { iterator.next(); }), "map: element 3: three");
  EXPECT_EQ(error_of([&] { iterator.next(); }), "map: element 3: three");
  EXPECT_EQ(iterator.position().element, 3);
}

TEST(PrefetchConcurrentTest, HeldTensorsAreNotWrittenAgain) {
  Iterator iterator = Dataset::range(400).batch(4).prefetch(2).iterate();
  std::vector<Tensor> held;
  while (const Element* element = iterator.next()) held.push_back((*element)[0]);
  Numbers all;
  for (const Tensor& tensor : held)
    for (const int64_t value : numbers_of(tensor)) all.push_back(value);
  EXPECT_EQ(all, iota(0, 400));
}

TEST(PrefetchConcurrentTest, MovedIteratorsGoOn) {
  Iterator first = Dataset::range(10).prefetch(2).iterate();
  ASSERT_NE(first.next(), nullptr);
  Iterator second = std::move(first);
  EXPECT_EQ(flat(rest_of(second)), iota(1, 10));
}

TEST(PrefetchConcurrentTest, SteadyStateAllocatesNothingOnTheReadersThread) {
  const Tensor images(DType::kU8, {640, 28, 28});
  const Tensor labels(DType::kU8, {640});
  const Dataset dataset = Dataset::from_tensor_slices({images, labels})
                              .cast(0, DType::kF32, 1.0 / 255)
                              .shuffle(640)
                              .batch(32)
                              .prefetch(4);
  Iterator iterator = dataset.iterate({.epochs = 5});
  int64_t batches = 0;
  for (int i = 0; i < 10; ++i) batches += iterator.next() != nullptr;
  const int64_t before = test::thread_allocations();
  for (int i = 0; i < 90; ++i)
    batches += iterator.next() != nullptr;  // over the ends of epochs too
  EXPECT_EQ(test::thread_allocations() - before, 0);
  EXPECT_EQ(batches, 96);
  const int64_t counted = test::thread_allocations();
  const Tensor another(DType::kF32, {1});
  EXPECT_GT(test::thread_allocations(), counted);  // the counter counts
}

TEST(DatasetAllocationTest, SteadyStateWithoutPrefetchAllocatesNothingEither) {
  const Dataset dataset = Dataset::range(6400).repeat().batch(32);
  Iterator iterator = dataset.iterate();
  for (int i = 0; i < 3; ++i) iterator.next();
  const int64_t before = test::thread_allocations();
  for (int i = 0; i < 190; ++i) iterator.next();
  EXPECT_EQ(test::thread_allocations() - before, 0);
}

}  // namespace
}  // namespace cohort::data
