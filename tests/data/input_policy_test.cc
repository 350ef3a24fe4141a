#include "tests/data/imagined_cluster.h"
#include "tests/data/temporary_files.h"

/// How batches are cut for the replicas, by policy, size and end of the data.
namespace cohort::data {
namespace {

using enum AutoShardPolicy;

// Recorded from tf.distribute, TensorFlow 2.21: each worker drops the remainder of its own files.
TEST(InputPolicyTest, UnevenFilesWithoutRemainderTrainOnAllBatchesThereAre) {
  const TemporaryFiles files;
  const auto lines = [&](const std::string& name, int64_t first, int64_t count) {
    std::string text;
    for (int64_t i = 0; i < count; ++i) text += std::to_string(first + i) + "\n";
    return files.write(name, text);
  };
  const auto number = [](const Element& line) {
    return Element{Tensor::scalar<int64_t>(std::stoll(text_of(line[0])))};
  };
  const Dataset few = Dataset::from_text_lines({lines("a", 0, 2), lines("b", 100, 9)})
                          .map(number)
                          .batch(4, {.drop_remainder = true});
  for (const AutoShardPolicy policy : {kAuto, kFile})
    EXPECT_EQ(distribute(with_policy(few, policy), {2}),
              (Cluster{{{{}}, {{}}, {{}}, {{}}},
                       {{{100, 101}}, {{102, 103}}, {{104, 105}}, {{106, 107}}}}));
  const Dataset many = Dataset::from_text_lines({lines("a", 0, 2), lines("b", 0, 1000)})
                           .map(number)
                           .batch(8, {.drop_remainder = true});
  const Cluster cluster = distribute(many, {2, 2});
  EXPECT_EQ(cluster[1].size(), 250u);  // two replicas with 2 of 1,000 rows each
  EXPECT_EQ(all_of(cluster), iota(0, 1000));
}

// Recorded from tf.distribute, TensorFlow 2.21, as are those below.
TEST(InputPolicyTest, OneWorkerCutsAsSeveralDo) {
  const auto last = [](const Cluster& cluster) { return cluster[0].back(); };
  const Dataset batches = Dataset::range(39).batch(7);
  for (const AutoShardPolicy policy : {kAuto, kData}) {
    const Cluster cluster = distribute(with_policy(batches, policy), {1, 2});
    EXPECT_EQ(cluster[0][0], (Step{{0, 1, 2, 3}, {4, 5, 6}}));
    EXPECT_EQ(last(cluster), (Step{{35, 36}, {37, 38}}));
  }
  for (const AutoShardPolicy policy : {kOff, kFile})
    EXPECT_EQ(last(distribute(with_policy(batches, policy), {1, 2})), (Step{{35, 36, 37, 38}, {}}));
}

TEST(InputPolicyTest, RepeatedStreamsAreCutAcrossTheirShortBatches) {
  const Dataset twice = Dataset::range(5).batch(3).repeat(2);
  EXPECT_EQ(distribute(with_policy(twice, kData), {1, 2}),
            (Cluster{{{{0, 1}, {2}}, {{3}, {4}}, {{0, 1}, {2}}, {{3}, {4}}}}));
  EXPECT_EQ(distribute(with_policy(twice, kOff), {1, 2}),
            (Cluster{{{{0, 1}, {2}}, {{3, 4}, {0}}, {{1, 2}, {3}}, {{4}, {}}}}));
  // One replica alone takes batches as they are.
  for (const AutoShardPolicy policy : {kAuto, kOff})
    EXPECT_EQ(distribute(with_policy(twice, policy), {1, 1}),
              (Cluster{{{{0, 1, 2}}, {{3, 4}}, {{0, 1, 2}}, {{3, 4}}}}));
}

TEST(InputPolicyTest, BatchSizesPassThroughLaterSteps) {
  const auto twice = [](const Element& e) { return Element{e[0].clone(), e[0].clone()}; };
  const Dataset batches = Dataset::range(20).batch(5, {.drop_remainder = true});
  const auto global = [](const Cluster& cluster, size_t step) {
    size_t rows = 0;
    for (const Steps& worker : cluster)
      for (const Numbers& numbers : worker[step]) rows += numbers.size();
    return rows;
  };
  for (const Dataset& dataset :
       {batches.map(twice), batches.map(twice).cache(), batches.map(twice).prefetch(2),
        batches.map(twice).take(4), batches.map(twice).skip(0).repeat(1),
        batches.cache().map(twice), batches.filter([](const Element&) { return true; })}) {
    const Cluster cluster = distribute(with_policy(dataset, kOff), {2, 2});
    ASSERT_EQ(cluster[0].size(), 8u) << dataset.to_string();
    for (size_t step = 0; step < 8; ++step)
      EXPECT_EQ(global(cluster, step), 5u) << dataset.to_string() << " step " << step;
  }
  // Without drop_remainder nothing says what a map makes of five rows.
  const Cluster open =
      distribute(with_policy(Dataset::range(20).batch(5).map(twice), kOff), {2, 2});
  EXPECT_EQ(global(open, 0), 8u);
  EXPECT_EQ(global(open, 1), 2u);
}

TEST(InputPolicyTest, OneWorkerMakesNoEmptyBatchesOfStaticShape) {
  const auto make = [](int64_t) { return Dataset::range(10).batch(2, {.drop_remainder = true}); };
  EXPECT_EQ(from_function(make, {1, 3}), (Cluster{{{{0, 1}, {2, 3}, {4, 5}}}}));
  EXPECT_EQ(from_function(make, {2, 3})[1],
            (Steps{{{0, 1}, {2, 3}, {4, 5}}, {{6, 7}, {8, 9}, {}}}));
}

}  // namespace
}  // namespace cohort::data
