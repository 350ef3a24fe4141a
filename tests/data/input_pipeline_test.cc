#include "data/input_pipeline.h"

#include <condition_variable>
#include <mutex>
#include <thread>

#include "data/batch_sizes.h"
#include "tests/data/support.h"
#include "tests/data/temporary_files.h"

/// Cases of TensorFlow's input_lib_test.py and strategy_common_test.py; all workers of an imagined
/// cluster are threads of this process.
namespace cohort::data {
namespace {

using enum AutoShardPolicy;

/// What a replica got at one step; what all replicas of a worker got; steps; workers.
using Step = Batches;
using Steps = std::vector<Step>;
using Cluster = std::vector<Steps>;

/// "Does any of n workers say so?", between threads.
class Vote {
 public:
  explicit Vote(int64_t num_workers) : num_workers_(num_workers) {}

  bool any(bool local) {
    std::unique_lock lock(mutex_);
    const int64_t round = round_;
    value_ = value_ || local;
    if (++num_votes_ == num_workers_) {
      result_ = value_;
      value_ = false;
      num_votes_ = 0;
      ++round_;
      all_voted_.notify_all();
    } else if (!all_voted_.wait_for(lock, std::chrono::seconds(20),
                                    [&] { return round_ != round; })) {
      throw DeadlineExceeded("vote {}: got {} of {} workers", round, num_votes_, num_workers_);
    }
    return result_;
  }

 private:
  const int64_t num_workers_;
  std::mutex mutex_;
  std::condition_variable all_voted_;
  int64_t round_ = 0;
  int64_t num_votes_ = 0;
  bool value_ = false;
  bool result_ = false;
};

/// Runs run(worker, vote) on a thread for every worker and returns their results.
template <class Run>
Cluster run_workers(int64_t num_workers, Run run) {
  Vote vote(num_workers);
  Cluster cluster(static_cast<size_t>(num_workers));
  std::vector<std::thread> threads;
  for (int64_t w = 0; w < num_workers; ++w)
    threads.emplace_back([&, w] {
      try {
        cluster[static_cast<size_t>(w)] = run(w, [&](bool local) { return vote.any(local); });
      } catch (const Error& error) {
        ADD_FAILURE() << "worker " << w << ": " << error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return cluster;
}

Steps steps_of(StepIterator& iterator, size_t component = 0) {
  Steps steps;
  while (const std::vector<Element>* elements = iterator.next()) {
    steps.emplace_back();
    for (const Element& element : *elements) steps.back().push_back(numbers_of(element[component]));
  }
  return steps;
}

struct Size {
  int64_t num_workers;
  int64_t replicas_per_worker = 1;
};

/// An epoch of `dataset` on a cluster. `knows_steps`: without a vote where the description allows.
Cluster distribute(const Dataset& dataset, const Size& size, bool knows_steps = false) {
  return run_workers(size.num_workers, [&](int64_t w, AnyWorker any) {
    const InputPipeline input =
        make_input_pipeline(dataset, {size.num_workers, w, size.replicas_per_worker});
    if (knows_steps && input.num_steps) any = [](bool) -> bool { throw Internal("vote: asked"); };
    if (size.num_workers == 1) any = nullptr;
    StepIterator iterator(input.dataset.prefetch(2),
                          {.replicas_per_worker = size.replicas_per_worker,
                           .any_worker = any,
                           .num_steps = knows_steps ? input.num_steps : std::optional<int64_t>()});
    return steps_of(iterator);
  });
}

/// One dataset for each worker, as it is.
Cluster from_function(const std::function<Dataset(int64_t)>& make, const Size& size) {
  return run_workers(size.num_workers, [&](int64_t w, AnyWorker any) {
    if (size.num_workers == 1) any = nullptr;
    StepIterator iterator(make(w),
                          {.replicas_per_worker = size.replicas_per_worker, .any_worker = any});
    return steps_of(iterator);
  });
}

Dataset with_policy(const Dataset& dataset, AutoShardPolicy policy) {
  return dataset.with_options({.auto_shard_policy = policy});
}

/// Every number that any replica got, in ascending order; all workers took equally many steps.
Numbers all_of(const Cluster& cluster) {
  Numbers all;
  for (const Steps& steps : cluster) {
    EXPECT_EQ(steps.size(), cluster[0].size());
    for (const Step& step : steps)
      for (const Numbers& numbers : step) all.insert(all.end(), numbers.begin(), numbers.end());
  }
  std::sort(all.begin(), all.end());
  return all;
}

TEST(InputPipelineTest, TwoReplicasTakeUnbatchedElements) {  // INP-01
  const Dataset numbers = Dataset::range(10);
  const Dataset squares = numbers.map([](const Element& e) {
    const auto value = e[0].item<int64_t>();
    return Element{Tensor::scalar(value * value)};
  });
  Steps expected, expected_squares;
  for (int64_t i = 0; i < 10; i += 2) {
    expected.push_back({{i}, {i + 1}});
    expected_squares.push_back({{i * i}, {(i + 1) * (i + 1)}});
  }
  EXPECT_EQ(distribute(numbers, {1, 2}), Cluster{expected});
  StepIterator zipped(Dataset::zip({numbers, squares}), {.replicas_per_worker = 2});
  EXPECT_EQ(steps_of(zipped, 1), expected_squares);
}

TEST(InputPipelineTest, ReplicasTakeWholeBatchesOfAFunction) {  // INP-02
  const auto make = [](int64_t) { return Dataset::range(9).batch(2); };
  EXPECT_EQ(from_function(make, {1, 2}),
            (Cluster{{{{0, 1}, {2, 3}}, {{4, 5}, {6, 7}}, {{8}, {}}}}));
  const auto dropping = [](int64_t) {
    return Dataset::range(9).batch(2, {.drop_remainder = true});
  };
  EXPECT_EQ(from_function(dropping, {1, 2}), (Cluster{{{{0, 1}, {2, 3}}, {{4, 5}, {6, 7}}}}));
}

TEST(InputPipelineTest, TheLastStepMayLeaveAWorkerEmpty) {  // INP-03
  const Dataset batches = Dataset::range(9).batch(2);
  for (const bool knows_steps : {false, true}) {
    EXPECT_EQ(distribute(batches, {2}, knows_steps),
              (Cluster{{{{0}}, {{2}}, {{4}}, {{6}}, {{8}}}, {{{1}}, {{3}}, {{5}}, {{7}}, {{}}}}));
    EXPECT_EQ(distribute(Dataset::range(9).batch(2, {.drop_remainder = true}), {2}, knows_steps),
              (Cluster{{{{0}}, {{2}}, {{4}}, {{6}}}, {{{1}}, {{3}}, {{5}}, {{7}}}}));
  }
}

TEST(InputPipelineTest, TwoReplicasHalveTheBatch) {  // INP-05
  const Cluster cluster = distribute(Dataset::range(100).batch(10), {1, 2});
  ASSERT_EQ(cluster[0].size(), 10u);
  for (int64_t s = 0; s < 10; ++s)
    EXPECT_EQ(cluster[0][static_cast<size_t>(s)],
              (Step{iota(10 * s, 10 * s + 5), iota(10 * s + 5, 10 * s + 10)}));
}

TEST(InputPipelineTest, PoliciesShareUnbatchedElements) {  // INP-06
  const Steps even{{{0}}, {{2}}}, odd{{{1}}, {{3}}}, all{{{0}}, {{1}}, {{2}}, {{3}}};
  const Dataset dataset = Dataset::range(4);
  EXPECT_EQ(distribute(with_policy(dataset, kAuto), {2}), (Cluster{even, odd}));
  EXPECT_EQ(distribute(with_policy(dataset, kData), {2}), (Cluster{even, odd}));
  EXPECT_EQ(distribute(with_policy(dataset, kOff), {2}), (Cluster{all, all}));
}

TEST(InputPipelineTest, BatchesThatDoNotDivideAreCutByCeiling) {  // INP-09
  const Dataset dataset = Dataset::range(8).batch(3);
  for (const AutoShardPolicy policy : {kAuto, kData})
    EXPECT_EQ(distribute(with_policy(dataset, policy), {2}),
              (Cluster{{{{0, 1}}, {{3, 4}}, {{6}}}, {{{2}}, {{5}}, {{7}}}}));
}

TEST(InputPipelineTest, APartialBatchIsCutLikeAnother) {  // INP-10
  const Cluster cluster = distribute(Dataset::range(14).batch(8), {2});
  EXPECT_EQ(cluster[0][1], (Step{{8, 9, 10}}));
  EXPECT_EQ(cluster[1][1], (Step{{11, 12, 13}}));
}

TEST(InputPipelineTest, FunctionsShardThemselves) {  // INP-11, INP-12
  const Cluster cluster = from_function(
      [](int64_t worker) { return Dataset::range(14).batch(4).shard(2, worker); }, {2});
  EXPECT_EQ(cluster[0][1], (Step{{8, 9, 10, 11}}));
  EXPECT_EQ(cluster[1][1], (Step{{12, 13}}));
  const auto first_sum = [](int64_t worker) {
    StepIterator iterator(Dataset::range(100).repeat().batch(5).shard(2, worker), {});
    const Numbers batch = numbers_of((*iterator.next())[0][0]);
    return std::accumulate(batch.begin(), batch.end(), int64_t{0});
  };
  EXPECT_EQ(first_sum(0), 10);
  EXPECT_EQ(first_sum(1), 35);
}

TEST(InputPipelineTest, EverySampleCountsOnce) {  // INP-13
  for (const Size size : {Size{1, 1}, Size{2, 1}, Size{1, 2}, Size{2, 2}, Size{3, 2}}) {
    int64_t sum = 0;
    for (const int64_t i : all_of(distribute(Dataset::range(10).batch(4), size))) sum += i * i;
    EXPECT_EQ(sum, 285);
  }
}

TEST(InputPipelineTest, CachesKeepTheOrderAndShufflesChangeIt) {  // INP-14
  const auto epochs = [](const Dataset& dataset) {
    const InputPipeline input = make_input_pipeline(dataset, {2, 1, 1});
    StepIterator iterator(input.dataset, {.num_steps = input.num_steps}, {.epochs = 2});
    const Steps first = steps_of(iterator);
    return std::pair(first, steps_of(iterator));
  };
  const Dataset rows = Dataset::range(40);
  const auto cached = epochs(rows.shuffle(40).cache().batch(8));
  EXPECT_EQ(cached.first, cached.second);
  const auto shuffled = epochs(rows.shuffle(40).batch(8));
  EXPECT_NE(shuffled.first, shuffled.second);
  const auto fixed = epochs(rows.shuffle(40, {.reshuffle_each_iteration = false}).batch(8));
  EXPECT_EQ(fixed.first, fixed.second);
}

TEST(InputPipelineTest, RowsOfUnevenBatchesSumUp) {  // INP-15: row i holds i mod 4 rows of i
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < 20; ++i)
    for (int64_t k = 0; k < i % 4; ++k) rows.push_back(i);
  const auto sum = [&](bool drop_remainder, const Size& size) {
    const Dataset dataset =
        Dataset::from_tensor_slices({Tensor::from(rows, Shape{static_cast<int64_t>(rows.size())})});
    const Numbers all =
        all_of(distribute(dataset.batch(8, {.drop_remainder = drop_remainder}), size));
    return std::accumulate(all.begin(), all.end(), int64_t{0});
  };
  for (const Size size : {Size{1, 1}, Size{2, 1}, Size{2, 2}}) {
    EXPECT_EQ(sum(false, size), 310);
    EXPECT_EQ(sum(true, size), 200);
  }
}

TEST(InputPipelineTest, OnTwoByTwoPartsGoToWorkersInTurn) {
  // Part j of a batch goes to worker j mod W.
  EXPECT_EQ(distribute(Dataset::range(10).batch(8), {2, 2}),
            (Cluster{{{{0, 1}, {4, 5}}, {{8}, {}}}, {{{2, 3}, {6, 7}}, {{9}, {}}}}));
}

TEST(InputPipelineTest, FilesAreCutToTheSizesOfTheWorker) {
  const TemporaryFiles files;
  const auto digits = [](const Element& record) {
    return Element{Tensor::scalar<int64_t>(std::stoll(text_of(record[0])))};
  };
  const std::vector<std::string> names{
      files.write_records("0", {"0", "1", "2", "3", "4", "5", "6"}),
      files.write_records("1", {"10", "11", "12"}), files.write_records("2", {"20", "21"})};
  const Dataset dataset = Dataset::from_tfrecord(names).map(digits).batch(3);
  const InputPipeline input = make_input_pipeline(dataset, {2, 0, 1});
  EXPECT_EQ(input.plan.policy, kFile);
  // Sizes 2, 1 on worker 0 and 1, 2 on worker 1, whose file ends first.
  EXPECT_EQ(distribute(dataset, {2}),
            (Cluster{{{{0, 1}}, {{2}}, {{3, 4}}, {{5}}, {{6, 20}}, {{21}}},
                     {{{10}}, {{11, 12}}, {{}}, {{}}, {{}}, {{}}}}));
  EXPECT_EQ(all_of(distribute(dataset, {3, 2})),
            (Numbers{0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 20, 21}));
  EXPECT_EQ(all_of(distribute(dataset, {4, 1})),
            (Numbers{0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 20, 21}));
}

// Recorded from tf.distribute, TensorFlow 2.21: each worker drops the remainder of its own files.
TEST(InputPipelineTest, UnevenFilesWithoutRemainderTrainOnAllBatchesThereAre) {
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
TEST(InputPipelineTest, OneWorkerCutsAsSeveralDo) {
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

TEST(InputPipelineTest, RepeatedStreamsAreCutAcrossTheirShortBatches) {
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

TEST(InputPipelineTest, BatchSizesPassThroughLaterSteps) {
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

TEST(InputPipelineTest, UnknownBatchSizesAreCutByCeiling) {
  const TemporaryFiles files;
  const Dataset dataset = Dataset::from_tfrecord({files.write_records("0", {"a", "b", "c"}),
                                                  files.write_records("1", {"d"})})
                              .batch(3)
                              .map([](const Element& e) { return e; });
  const InputPipeline input = make_input_pipeline(dataset, {2, 0, 1});
  EXPECT_EQ(input.plan.policy, kFile);
  EXPECT_EQ(distribute(dataset, {2}), (Cluster{{{{'a', 'b'}}, {{'c'}}}, {{{'d'}}, {{}}}}));
}

TEST(InputPipelineTest, WorkersEndTogetherEpochAfterEpoch) {
  const auto lengths = [](int64_t worker) { return Dataset::range(worker * 3).batch(2); };
  const Cluster cluster = run_workers(3, [&](int64_t w, AnyWorker any) {
    StepIterator iterator(lengths(w), {.replicas_per_worker = 2, .any_worker = any}, {.epochs = 3});
    Steps all;
    for (int epoch = 0; epoch < 3; ++epoch) {
      const Steps steps = steps_of(iterator);
      EXPECT_EQ(steps.size(), 2u);
      all.insert(all.end(), steps.begin(), steps.end());
    }
    EXPECT_EQ(iterator.next(), nullptr);
    return all;
  });
  EXPECT_EQ(cluster[0][0], (Step{{}, {}}));
  EXPECT_EQ(cluster[1][0], (Step{{0, 1}, {2}}));
  EXPECT_EQ(cluster[1][1], (Step{{}, {}}));
  EXPECT_EQ(cluster[2][5], (Step{{4, 5}, {}}));
}

TEST(InputPipelineTest, PositionsContinueOnEveryWorkerEvenBehindItsEnd) {
  const auto dataset = [](int64_t worker) {
    return Dataset::range(2 + worker * 7).shuffle(20).batch(2);
  };
  const auto options = [](AnyWorker any) { return StepOptions{2, std::move(any), std::nullopt}; };
  const auto all = run_workers(2, [&](int64_t w, AnyWorker any) {
    StepIterator iterator(dataset(w), options(any), {.epochs = 2});
    Steps steps = steps_of(iterator);
    const Steps second = steps_of(iterator);
    steps.insert(steps.end(), second.begin(), second.end());
    return steps;
  });
  for (int stop = 0; stop <= 3; ++stop) {
    const auto resumed = run_workers(2, [&](int64_t w, AnyWorker any) {
      StepIterator first(dataset(w), options(any), {.epochs = 2});
      for (int s = 0; s < stop; ++s) first.next();
      const StepPosition saved = StepPosition::from_bytes(first.position().to_bytes());
      EXPECT_EQ(saved, first.position());
      StepIterator iterator(dataset(w), options(any), saved, 2);
      Steps steps = steps_of(iterator);
      const Steps second = steps_of(iterator);
      steps.insert(steps.end(), second.begin(), second.end());
      return steps;
    });
    for (size_t w = 0; w < 2; ++w)
      EXPECT_EQ(resumed[w], Steps(all[w].begin() + stop, all[w].end())) << stop;
  }
}

TEST(InputPipelineTest, OneWorkerMakesNoEmptyBatchesOfStaticShape) {
  const auto make = [](int64_t) { return Dataset::range(10).batch(2, {.drop_remainder = true}); };
  EXPECT_EQ(from_function(make, {1, 3}), (Cluster{{{{0, 1}, {2, 3}, {4, 5}}}}));
  EXPECT_EQ(from_function(make, {2, 3})[1],
            (Steps{{{0, 1}, {2, 3}, {4, 5}}, {{6, 7}, {8, 9}, {}}}));
}

TEST(InputPipelineTest, ScalarsThatDoNotDivideAreAnErrorOnAllWorkers) {
  Vote vote(2);
  int num_errors[2] = {};
  std::vector<std::thread> threads;
  for (int64_t w = 0; w < 2; ++w)
    threads.emplace_back([&, w] {
      StepIterator iterator(make_input_pipeline(Dataset::range(5), {2, w, 1}).dataset,
                            {.any_worker = [&](bool local) { return vote.any(local); }});
      try {
        steps_of(iterator);
      } catch (const Error& error) {
        num_errors[w] = error.code() == Code::kFailedPrecondition;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_errors[0] + num_errors[1], 2);
}

TEST(InputPipelineTest, StepsAreKnownWhereTheDescriptionSays) {
  const auto steps = [](const Dataset& dataset, InputWorker worker) {
    return make_input_pipeline(dataset, worker).num_steps;
  };
  EXPECT_EQ(steps(Dataset::range(9).batch(2), {2, 0, 1}), 5);
  EXPECT_EQ(steps(Dataset::range(9).batch(2), {2, 1, 1}), 5);
  EXPECT_EQ(steps(Dataset::range(14).batch(8), {2, 1, 2}), 2);
  EXPECT_EQ(steps(Dataset::range(14).batch(8), {1, 0, 2}), 2);
  EXPECT_EQ(steps(Dataset::range(14).batch(8), {1, 0, 1}), 2);
  EXPECT_EQ(
      steps(Dataset::range(9).filter([](const Element&) { return true; }).batch(2), {2, 0, 1}),
      std::nullopt);
}

TEST(InputPipelineTest, DamagedPositionsAreRefused) {
  const std::string bytes = StepPosition().to_bytes();
  EXPECT_EQ(bytes.size(), 53u);
  for (const std::string& damaged : {std::string(), bytes.substr(1), bytes + "x",
                                     bytes.substr(0, 12) + "\x02" + bytes.substr(13)})
    EXPECT_EQ(code_of([&] { StepPosition::from_bytes(damaged); }), Code::kDataLoss);
}

TEST(InputPipelineTest, ArgumentsAreChecked) {
  const Dataset dataset = Dataset::range(8).batch(4);
  EXPECT_EQ(code_of([&] { make_input_pipeline(dataset, {2, 2, 1}); }), Code::kInvalidArgument);
  EXPECT_EQ(code_of([&] { make_input_pipeline(dataset, {2, 0, 0}); }), Code::kInvalidArgument);
  EXPECT_EQ(code_of([&] { StepIterator(dataset, {.replicas_per_worker = 0}); }),
            Code::kInvalidArgument);
}

}  // namespace
}  // namespace cohort::data
