#include <atomic>

#include "cohort/data/batch_sizes.h"
#include "tests/data/support.h"
#include "tests/support/thread_allocations.h"

namespace cohort::data {
namespace {

using ::testing::HasSubstr;

Element plus_one(const Element& e) { return {Tensor::scalar(e[0].item<int64_t>() + 1)}; }
Element same(const Element& e) { return e; }
bool keep(const Element& e) { return numbers_of(e[0])[0] % 3 != 1; }

TEST(RowsOfReplicasTest, KnownBatchesFillReplicasInOrder) {
  const auto rows = [](int64_t rows, int64_t batch_size, RowSplit split) {
    const RowSpan span = rows_of_replicas(rows, batch_size, split);
    return Numbers{span.begin, span.end};
  };
  // 10 rows over 4 replicas: 3, 3, 2, 2.
  EXPECT_EQ(rows(10, 10, {4, 0, 1}), (Numbers{0, 3}));
  EXPECT_EQ(rows(10, 10, {4, 1, 2}), (Numbers{3, 8}));
  EXPECT_EQ(rows(10, 10, {4, 3, 1}), (Numbers{8, 10}));
  EXPECT_EQ(rows(7, 10, {4, 2, 2}), (Numbers{6, 7}));
  EXPECT_EQ(rows(5, 10, {4, 2, 2}), (Numbers{5, 5}));
  // Unknown: ceil(5 / 4) = 2 each.
  EXPECT_EQ(rows(5, -1, {4, 2, 1}), (Numbers{4, 5}));
  EXPECT_EQ(rows(5, 0, {4, 3, 1}), (Numbers{5, 5}));
}

std::vector<Dataset> all_kinds() {
  const Dataset rows = Dataset::range(23);
  return {
      rows.batch(4),
      rows.shuffle(23).batch(7).prefetch(),
      rows.batch(7, {.drop_remainder = true}),
      rows.shuffle(5).cast(0, DType::kF32).batch(6).repeat(2),
      rows.map(plus_one).batch(7),
      rows.map(plus_one, {.num_parallel_calls = 3}).batch(7).prefetch(3),
      rows.map(plus_one, {.num_parallel_calls = 2}).prefetch(4).batch(5),
      rows.map(plus_one).shuffle(6).batch(5),
      rows.filter(keep).batch(6),
      rows.batch(6).map(same),
      rows.batch(6).filter(keep),
      rows.batch(5).shuffle(3).take(4).skip(1),
      rows.batch(7).cache().repeat(2),
      rows.take(7).batch(3).concatenate(rows.skip(9).batch(4)),
      rows.batch(5).rebatch({2, 5, 0, 4}),
      rows.batch(5).map(same).unbatch().batch(4),
      Dataset::zip({rows.batch(4), rows.shuffle(23).batch(4)}),
  };
}

/// The elements of every worker of a cluster, put together again, step by step.
Batches joined(const Dataset& dataset, int64_t num_workers, int64_t replicas_per_worker) {
  std::vector<Iterator> workers;
  for (int64_t w = 0; w < num_workers; ++w)
    workers.push_back(dataset
                          .batch_rows({num_workers * replicas_per_worker, w * replicas_per_worker,
                                       replicas_per_worker})
                          .iterate({.seed = 5}));
  Batches batches;
  for (;;) {
    Numbers batch;
    int num_ended = 0;
    for (Iterator& worker : workers) {
      const Element* element = worker.next();
      if (!element) {
        ++num_ended;
        continue;
      }
      const Numbers part = numbers_of((*element)[0]);
      EXPECT_EQ(worker.row_range().offset, std::ssize(batch)) << dataset.to_string();
      EXPECT_EQ(element->size(), dataset.element_spec().size());
      batch.insert(batch.end(), part.begin(), part.end());
    }
    if (num_ended > 0) {
      EXPECT_EQ(num_ended, num_workers) << dataset.to_string();
      return batches;
    }
    for (const Iterator& worker : workers)
      EXPECT_EQ(worker.row_range().global_rows, std::ssize(batch)) << dataset.to_string();
    batches.push_back(std::move(batch));
  }
}

TEST(BatchRowsTest, WorkersHaveEveryRowOnceAndInOrder) {
  for (const Dataset& dataset : all_kinds()) {
    const Batches whole = batches_of(dataset, {.seed = 5});
    EXPECT_EQ(joined(dataset, 1, 1), whole) << dataset.to_string();
    EXPECT_EQ(joined(dataset, 2, 1), whole) << dataset.to_string();
    EXPECT_EQ(joined(dataset, 3, 2), whole) << dataset.to_string();
    EXPECT_EQ(joined(dataset, 9, 1), whole) << dataset.to_string();  // some never get a row
  }
}

TEST(BatchRowsTest, WorkersSplitAsTheBatchSizeSays) {
  const Dataset dataset = Dataset::range(14).batch(8);
  EXPECT_EQ(batches_of(dataset.batch_rows({2, 0, 1})), (Batches{{0, 1, 2, 3}, {8, 9, 10, 11}}));
  EXPECT_EQ(batches_of(dataset.batch_rows({2, 1, 1})), (Batches{{4, 5, 6, 7}, {12, 13}}));
  EXPECT_EQ(batches_of(dataset.batch_rows({4, 3, 1})), (Batches{{6, 7}, {}}));
  // 5 rows on 4 replicas: 2 1 1 1, behind a map of full batches as well.
  const Dataset full = Dataset::range(5).batch(5, {.drop_remainder = true});
  const auto same = [](const Element& e) { return e; };
  for (const Dataset& batches : {full, full.map(same)})
    EXPECT_EQ(numbers_of(batches.batch_rows({4, 3, 1}).iterate().next()->at(0)).size(), 1u);
}

TEST(BatchRowsTest, RowsOfOthersAreNeitherReadNorMapped) {
  for (const int threads : {1, 3}) {
    std::atomic<int> calls{0};
    const Dataset dataset = Dataset::range(64)
                                .map(
                                    [&](const Element& e) {
                                      ++calls;
                                      return plus_one(e);
                                    },
                                    {.num_parallel_calls = threads,
                                     .element_spec = ElementSpec{{DType::kI64, Shape{}}}})
                                .batch(16);
    EXPECT_EQ(values_of(dataset.batch_rows({4, 1, 1})).size(), 16u);
    EXPECT_EQ(calls, 16);
  }
}

TEST(BatchRowsTest, PositionsAreTheWholeDatasets) {
  for (const Dataset& dataset : all_kinds()) {
    const Dataset part = dataset.batch_rows({3, 1, 1});
    const Batches all = batches_of(part, {.seed = 5, .epoch = 2});
    Iterator whole = dataset.iterate({.seed = 5, .epoch = 2});
    for (size_t k = 0; k <= all.size(); ++k) {
      Iterator resumed = part.resume(whole.position());
      EXPECT_EQ(rest_of(resumed), Batches(all.begin() + static_cast<int64_t>(k), all.end()))
          << dataset.to_string() << " at " << k;
      if (k < all.size()) whole.next();
    }
  }
}

TEST(BatchRowsTest, EpochsFollowEachOther) {
  const Dataset part = Dataset::range(10).shuffle(10).batch(4).prefetch().batch_rows({2, 1, 1});
  Iterator iterator = part.iterate({.epochs = 3});
  for (int64_t epoch = 0; epoch < 3; ++epoch)
    EXPECT_EQ(rest_of(iterator), batches_of(part, {.epoch = epoch}));
}

TEST(BatchRowsTest, AWholeDatasetSaysItsRowsToo) {
  Iterator iterator = Dataset::range(5).batch(3).iterate();
  iterator.next();
  iterator.next();
  EXPECT_EQ(iterator.row_range().offset, 0);
  EXPECT_EQ(iterator.row_range().global_rows, 2);
}

TEST(BatchRowsTest, TheSteadyReaderAllocatesNothing) {
  const Tensor images(DType::kU8, Shape{400, 28, 28}), labels(DType::kU8, Shape{400});
  const Dataset whole = Dataset::from_tensor_slices({images, labels}).shuffle(400).batch(32);
  const Dataset in_memory = whole.cast(0, DType::kF32, 1.0 / 255).batch_rows({2, 1, 1});
  for (const Dataset& dataset : {in_memory, in_memory.prefetch(2)}) {
    Iterator iterator = dataset.iterate({.epochs = 3});
    for (int i = 0; i < 4; ++i) iterator.next();
    const int64_t before = test::thread_allocations();
    for (int i = 0; i < 8; ++i) ASSERT_EQ((*iterator.next())[0].size(0), 16);
    EXPECT_EQ(test::thread_allocations(), before);
  }
}

TEST(BatchRowsTest, ArgumentsAndLaterStepsAreChecked) {
  const Dataset dataset = Dataset::range(9).batch(4);
  EXPECT_EQ(error_of([&] {
              dataset.batch_rows({4, 3, 2});
            }),
            "batch_rows: got 2 replicas from 3 on, of 4; want 1 or more of them");
  EXPECT_THROW(dataset.batch_rows({4, -1, 2}), Error);
  EXPECT_THROW(dataset.batch_rows({4, 0, 0}), Error);
  EXPECT_THAT(error_of([&] {
                Dataset::range(9).batch_rows({2, 0, 1});
              }),
              HasSubstr("got a scalar as component 0"));
  EXPECT_THAT(error_of([&] {
                dataset.batch_rows({2, 0, 1}).shuffle(3);
              }),
              HasSubstr("want batch_rows last"));
  EXPECT_NO_THROW(dataset.batch_rows({2, 0, 1}).prefetch());
}

}  // namespace
}  // namespace cohort::data
