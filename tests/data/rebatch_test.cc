#include "tests/data/support.h"

#include "cohort/data/batch_sizes.h"

// Cases and their numbers (BAT, RB, LR, CB, INP) are tf.data's and tf.distribute's own tests:
// rebatch_dataset_test.py, input_lib_test.py.
namespace cohort::data {
namespace {

using ::testing::HasSubstr;

/// The same dataset by the two ways rebatch has: cutting the rows below a batch, and copying the
/// rows of batches that come from elsewhere.
std::vector<Dataset> both_ways(const Dataset& batches) {
  return {batches, batches.prefetch(2), batches.map([](const Element& e) { return e; })};
}

void expect_rebatched(const Dataset& batches, const std::vector<int64_t>& sizes,
                      const Batches& wanted, BatchOptions options = {}) {
  for (const Dataset& dataset : both_ways(batches)) {
    const Dataset cut = dataset.rebatch(sizes, options);
    EXPECT_EQ(batches_of(cut), wanted) << cut.to_string();
    if (cut.cardinality() >= 0) {
      EXPECT_EQ(cut.cardinality(), std::ssize(wanted)) << cut.to_string();
    }
  }
}

Dataset range_in_batches(int64_t count, int64_t size) { return Dataset::range(count).batch(size); }

TEST(BatchSizesTest, AreTensorFlows) {
  using Sizes = std::vector<int64_t>;
  for (int64_t worker : {0, 1})  // BAT-01
    EXPECT_EQ(batch_sizes_for_worker(8, 2, 2, worker), (Sizes{2, 2, 2, 2}));
  EXPECT_EQ(batch_sizes_for_worker(4, 3, 1, 0), (Sizes{2, 1, 1}));  // BAT-02
  EXPECT_EQ(batch_sizes_for_worker(4, 3, 1, 1), (Sizes{1, 1, 2}));
  EXPECT_EQ(batch_sizes_for_worker(4, 3, 1, 2), (Sizes{1, 2, 1}));
  EXPECT_EQ(batch_sizes_for_worker(7, 2, 2, 0), (Sizes{2, 2, 2, 1}));  // BAT-03
  EXPECT_EQ(batch_sizes_for_worker(7, 2, 2, 1), (Sizes{2, 1, 2, 2}));
}

TEST(BatchSizesTest, KeepTheirInvariants) {  // BAT-04
  for (const auto& [batch, workers, replicas] :
       {std::tuple{4, 1, 5}, {4, 2, 5}, {4, 5, 1}, {64, 3, 7}, {1, 1, 1}}) {
    const int64_t num_replicas = int64_t{workers} * replicas;
    std::vector<std::vector<int64_t>> all;
    for (int64_t worker = 0; worker < workers; ++worker) {
      all.push_back(batch_sizes_for_worker(batch, workers, replicas, worker));
      const auto& sizes = all.back();
      EXPECT_EQ(std::ssize(sizes), num_replicas);
      EXPECT_EQ(std::accumulate(sizes.begin(), sizes.end(), int64_t{0}), batch);
      EXPECT_LE(*std::max_element(sizes.begin(), sizes.end()) -
                    *std::min_element(sizes.begin(), sizes.end()),
                1);
    }
    for (int64_t step = 0; step < workers; ++step) {
      int64_t global = 0;
      for (const auto& sizes : all)
        for (int64_t r = 0; r < replicas; ++r)
          global += sizes[static_cast<size_t>(step * replicas + r)];
      EXPECT_EQ(global, batch) << "step " << step << " of " << workers << "x" << replicas;
    }
  }
  EXPECT_THROW(batch_sizes_for_worker(0, 1, 1, 0), Error);
  EXPECT_THROW(batch_sizes_for_worker(4, 2, 1, 2), Error);
}

TEST(RebatchTest, CutsTheStreamAnew) {
  expect_rebatched(range_in_batches(8, 4), {2, 2}, {{0, 1}, {2, 3}, {4, 5}, {6, 7}});  // RB-01
  expect_rebatched(range_in_batches(5, 4), {2, 2}, {{0, 1}, {2, 3}, {4}});             // RB-02
  expect_rebatched(range_in_batches(5, 4), {2, 2}, {{0, 1}, {2, 3}}, {.drop_remainder = true});
  expect_rebatched(range_in_batches(12, 4), {6}, {iota(0, 6), iota(6, 12)});        // RB-03
  expect_rebatched(range_in_batches(8, 4), {2}, {{0, 1}, {2, 3}, {4, 5}, {6, 7}});  // RB-07
}

TEST(RebatchTest, SizeZeroIsAnEmptyBatch) {
  expect_rebatched(range_in_batches(8, 4), {1, 1, 1, 1, 0},  // RB-04
                   {{0}, {1}, {2}, {3}, {}, {4}, {5}, {6}, {7}, {}});
  expect_rebatched(range_in_batches(8, 4), {0, 1},  // RB-05
                   {{}, {0}, {}, {1}, {}, {2}, {}, {3}, {}, {4}, {}, {5}, {}, {6}, {}, {7}, {}});
  expect_rebatched(range_in_batches(8, 4), {1, 0},  // RB-06
                   {{0}, {}, {1}, {}, {2}, {}, {3}, {}, {4}, {}, {5}, {}, {6}, {}, {7}, {}});
}

TEST(RebatchTest, KeepsInnerDimensions) {  // RB-08
  for (const Dataset& dataset : both_ways(Dataset::range(16).batch(2).batch(4)))
    for (const Element& element : dataset.rebatch({2, 2}).iterate())
      EXPECT_EQ(element[0].shape(), (Shape{2, 2}));
  const Tensor images(DType::kU8, {5, 3, 2});
  for (const Dataset& dataset : both_ways(Dataset::from_tensor_slices({images}).batch(4)))
    for (const Element& element : dataset.rebatch({0, 3}).iterate())
      EXPECT_EQ(element[0].shape().slice(1), (Shape{3, 2}));
}

TEST(RebatchTest, TheSizeIsStaticWhereItCannotVary) {  // RB-09
  const auto leading = [](const Dataset& dataset) { return dataset.element_spec()[0].shape[0]; };
  const Dataset open = range_in_batches(32, 8),
                fixed = Dataset::range(32).batch(8, {.drop_remainder = true});
  EXPECT_EQ(leading(open.rebatch({4, 4})), batch_dim());
  EXPECT_EQ(leading(open.rebatch({4, 4}, {.drop_remainder = true})), 4);
  EXPECT_EQ(leading(fixed.rebatch({4, 4})), 4);
  EXPECT_EQ(leading(fixed.rebatch({3, 3})), batch_dim());
  EXPECT_EQ(leading(fixed.rebatch({3, 5})), batch_dim());
}

TEST(RebatchTest, RowsThatTheBatchDroppedStayDropped) {
  const Dataset dropped = Dataset::range(10).batch(4, {.drop_remainder = true});
  expect_rebatched(dropped, {3}, {{0, 1, 2}, {3, 4, 5}, {6, 7}});
  EXPECT_EQ(values_of(dropped.unbatch()), iota(0, 8));
}

TEST(RebatchTest, RefusesWhatCannotBeCut) {
  EXPECT_THAT(error_of([] {
                Dataset::range(4).batch(2).rebatch({0, 0});
              }),
              HasSubstr("rebatch: got sizes [0, 0]; want 0 or more each, and one above 0"));
  EXPECT_THROW(Dataset::range(4).batch(2).rebatch({}), Error);
  EXPECT_THROW(Dataset::range(4).batch(2).rebatch({-1, 2}), Error);
  EXPECT_THROW(Dataset::range(4).rebatch({2}), Error);
  EXPECT_THAT(error_of([] { Dataset::range(4).legacy_rebatch(2); }),  // LR-05
              HasSubstr("legacy_rebatch: got a scalar as component 0"));
  EXPECT_THROW(Dataset::range(4).batch(2).legacy_rebatch(0), Error);
  EXPECT_THROW(Dataset::range(4).unbatch(), Error);
}

TEST(LegacyRebatchTest, CutsEveryBatch) {
  const auto cut = [](int64_t count, int64_t size, int64_t replicas, bool drop = false) {
    return batches_of(
        Dataset::range(count).batch(size, {.drop_remainder = drop}).legacy_rebatch(replicas));
  };
  EXPECT_EQ(cut(8, 4, 2), (Batches{{0, 1}, {2, 3}, {4, 5}, {6, 7}}));             // LR-01
  EXPECT_EQ(cut(8, 4, 3), (Batches{{0, 1}, {2, 3}, {}, {4, 5}, {6, 7}, {}}));     // LR-02
  EXPECT_EQ(cut(10, 4, 2), (Batches{{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8}, {9}}));  // LR-03
  EXPECT_EQ(cut(10, 4, 2, true), (Batches{{0, 1}, {2, 3}, {4, 5}, {6, 7}}));
  EXPECT_EQ(cut(9, 4, 2), (Batches{{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8}, {}}));  // LR-04
  EXPECT_EQ(Dataset::range(9).batch(4).legacy_rebatch(2).cardinality(), 6);
}

TEST(ComputeBatchSizeTest, ReadsTheDescription) {  // CB-01
  const Dataset rows = Dataset::range(32);
  const auto same = [](const Element& e) { return e; };
  EXPECT_EQ(compute_batch_size(rows), -1);
  EXPECT_EQ(compute_batch_size(rows.batch(4)), 4);
  EXPECT_EQ(compute_batch_size(rows.batch(4, {.drop_remainder = true})), 4);
  EXPECT_EQ(compute_batch_size(Dataset::zip({rows.batch(4), rows.batch(4)})), 4);
  EXPECT_EQ(compute_batch_size(Dataset::zip({rows.batch(4), rows.batch(8)})), -1);
  EXPECT_EQ(compute_batch_size(rows.batch(4).take(5)), 4);
  EXPECT_EQ(compute_batch_size(rows.batch(4).map(same)), -1);
  EXPECT_EQ(compute_batch_size(rows.map(same).batch(4)), 4);
  EXPECT_EQ(compute_batch_size(rows.batch(4).shuffle(3).repeat().prefetch()), 4);
  // Where the shapes say it.
  const Dataset full = rows.batch(4, {.drop_remainder = true});
  EXPECT_EQ(compute_batch_size(full.map(same)), 4);
  EXPECT_EQ(full.map(same).take(2).cache().batch_size(), 4);
  EXPECT_EQ(compute_batch_size(full.map(same).concatenate(rows.batch(4).map(same))), -1);
  EXPECT_EQ(compute_batch_size(full.map([](const Element& e) {
              return Element{e[0].slice(0, 0, 3), e[0].slice(0, 1, 4)};
            })),
            3);
  EXPECT_EQ(compute_batch_size(full.map([](const Element& e) {
              return Element{e[0].slice(0, 0, 3), e[0]};
            })),
            -1);
  EXPECT_EQ(compute_batch_size(full.map([](const Element& e) {
              return Element{e[0], Tensor::scalar(1.0f)};
            })),
            -1);
  EXPECT_EQ(compute_batch_size(Dataset::zip({full, rows.batch(8, {.drop_remainder = true})})), -1);
}

TEST(UnbatchTest, GivesTheRowsBack) {
  const auto same = [](const Element& e) { return e; };
  EXPECT_EQ(values_of(Dataset::range(7).batch(3).unbatch()), iota(0, 7));
  const Dataset mapped = Dataset::range(7).batch(3).map(same).unbatch();
  EXPECT_EQ(values_of(mapped), iota(0, 7));
  EXPECT_EQ(mapped.element_spec()[0].shape, Shape{});
  EXPECT_EQ(batches_of(mapped.skip(2).batch(4)), (Batches{{2, 3, 4, 5}, {6}}));
}

// What data/ alone shows of the distributed input: global batches rebatched for the replicas.

TEST(OneProcessInputTest, ElementsInTurnGoToTheReplicas) {  // INP-01, INP-02
  const Dataset squares = Dataset::range(10).map([](const Element& e) {
    const int64_t i = e[0].item<int64_t>();
    return Element{Tensor::scalar<int64_t>(i * i)};
  });
  const Dataset pairs = Dataset::zip({Dataset::range(10), squares});
  EXPECT_EQ(batches_of(pairs, {}, 1)[3], Numbers{9});
  EXPECT_EQ(batches_of(Dataset::range(9).batch(2)), (Batches{{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8}}));
  EXPECT_EQ(batches_of(Dataset::range(9).batch(2, {.drop_remainder = true})),
            (Batches{{0, 1}, {2, 3}, {4, 5}, {6, 7}}));
}

TEST(OneProcessInputTest, AGlobalBatchIsSplit) {  // INP-05, INP-20
  const Batches halves =
      batches_of(range_in_batches(100, 10).rebatch(batch_sizes_for_worker(10, 1, 2, 0)));
  ASSERT_EQ(halves.size(), 20u);
  for (const Numbers& half : halves) EXPECT_EQ(half.size(), 5u);
  EXPECT_EQ(batches_of(range_in_batches(10, 2).rebatch(batch_sizes_for_worker(2, 1, 1, 0)))[0],
            (Numbers{0, 1}));
  const Batches single =
      batches_of(range_in_batches(10, 2).rebatch(batch_sizes_for_worker(2, 1, 2, 0)));
  EXPECT_EQ(single.size(), 10u);
  EXPECT_EQ(single[3], Numbers{3});
}

TEST(OneProcessInputTest, TheLastGlobalBatchOfTwoWorkersIsSplitByTheSizes) {  // INP-10
  // Each of two workers reads everything: 14 rows in global batches of 8.
  const Batches cut =
      batches_of(range_in_batches(14, 8).rebatch(batch_sizes_for_worker(8, 2, 1, 0)));
  EXPECT_EQ(cut, (Batches{iota(0, 4), iota(4, 8), iota(8, 12), iota(12, 14)}));
  // By legacy rebatch, as for sharded data: [8, 9, 10] for the chief, [11, 12, 13] for the other.
  const Batches legacy = batches_of(range_in_batches(14, 8).legacy_rebatch(2));
  EXPECT_EQ(legacy[2], iota(8, 11));
  EXPECT_EQ(legacy[3], iota(11, 14));
}

TEST(OneProcessInputTest, CacheFreezesShufflesBeforeIt) {  // INP-14
  const Dataset rows = Dataset::range(40);
  const Dataset cached = rows.shuffle(40).cache();
  EXPECT_EQ(values_of(cached, {.epoch = 0}), values_of(cached, {.epoch = 1}));
  EXPECT_NE(values_of(cached.shuffle(40), {.epoch = 0}),
            values_of(cached.shuffle(40), {.epoch = 1}));
  const Dataset frozen = cached.shuffle(40, {.reshuffle_each_iteration = false});
  EXPECT_EQ(values_of(frozen, {.epoch = 0}), values_of(frozen, {.epoch = 1}));
}

TEST(LegacyRebatchTest, BatchesOfSourceRowsAndOfElementsAreCutAlike) {
  const auto same = [](const Element& e) { return e; };
  const Dataset rows = Dataset::range(23).shuffle(9);
  for (const Dataset& batches :
       {rows.batch(5), rows.batch(6, {.drop_remainder = true}), rows.batch(4).rebatch({3, 0, 5})})
    for (const int64_t parts : {1, 2, 3, 7}) {
      const Dataset cut = batches.legacy_rebatch(parts),
                    copied = batches.map(same).legacy_rebatch(parts);
      EXPECT_EQ(batches_of(cut), batches_of(copied)) << cut.to_string();
      for (const int64_t worker : {0, 2})
        EXPECT_EQ(batches_of(cut.shard(3, worker)), batches_of(copied.shard(3, worker)))
            << cut.to_string();
      EXPECT_EQ(batches_of(cut.skip(4)), batches_of(copied.skip(4))) << cut.to_string();
    }
}

TEST(OneProcessInputTest, SumsOfAnUnevenEnd) {  // INP-15: 20 rows, row i repeated i % 4 times
  const auto sum = [](bool drop) {
    int64_t total = 0;
    const Dataset batches = Dataset::range(20).batch(8, {.drop_remainder = drop});
    for (const Numbers& batch : batches_of(batches.rebatch(batch_sizes_for_worker(8, 1, 2, 0))))
      for (const int64_t row : batch) total += row * (row % 4);
    return total;
  };
  EXPECT_EQ(sum(false), 310);
  EXPECT_EQ(sum(true), 200);
}

}  // namespace
}  // namespace cohort::data
