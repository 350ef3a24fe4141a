#include "cohort/data/input_pipeline.h"

#include "cohort/data/batch_sizes.h"
#include "tests/data/imagined_cluster.h"
#include "tests/data/temporary_files.h"

/// Cases of TensorFlow's input_lib_test.py and strategy_common_test.py.
namespace cohort::data {
namespace {

using enum AutoShardPolicy;

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

/// A process that carries replicas of several workers, or a few of one.
TEST(InputPipelineTest, WhoCarriesReplicasRunsTheirPipelines) {
  const Dataset batches = Dataset::range(103).shuffle(50).batch(14);
  const Dataset lopsided = Dataset::range(103).batch(14).filter(
      [](const Element& e) { return e[0].data<int64_t>()[0] % 3 != 1; });
  for (const Dataset& dataset : {batches, with_policy(batches, AutoShardPolicy::kOff), lopsided}) {
    const Cluster want = distribute(dataset, {4, 3});
    const auto part = [&](int64_t worker, int64_t first, int64_t count) {
      return PipelinePart{make_input_pipeline(dataset, {4, worker, 3}).dataset, first, count};
    };
    // Replicas 0 to 4, 5 to 6 and 7 to 11, of 3 for each worker.
    const std::vector<std::vector<PipelinePart>> processes{{part(0, 0, 3), part(1, 0, 2)},
                                                           {part(1, 2, 1), part(2, 0, 1)},
                                                           {part(2, 1, 2), part(3, 0, 3)}};
    const auto run = [&](size_t stop) {
      return run_workers(3, [&](int64_t p, AnyWorker any) {
        const auto& parts = processes[static_cast<size_t>(p)];
        const StepOptions options{.replicas_per_worker = 3, .any_worker = std::move(any)};
        StepIterator iterator(parts, options);
        Steps steps;
        for (size_t s = 0; s < stop; ++s) {
          steps.emplace_back();
          for (const Element& element : *iterator.next())
            steps.back().push_back(numbers_of(element[0]));
        }
        StepIterator resumed(parts, options,
                             StepPosition::from_bytes(iterator.position().to_bytes()));
        for (Step& step : steps_of(resumed)) steps.push_back(std::move(step));
        return steps;
      });
    };
    for (size_t stop = 0; stop <= want[0].size(); ++stop) {
      const Cluster got = run(stop);
      for (size_t s = 0; s < want[0].size(); ++s) {
        Step joined, expected;
        for (const Steps& steps : got)
          joined.insert(joined.end(), steps.at(s).begin(), steps.at(s).end());
        for (const Steps& steps : want)
          expected.insert(expected.end(), steps[s].begin(), steps[s].end());
        EXPECT_EQ(joined, expected) << "step " << s << ", stopped at " << stop;
      }
    }
  }
  const Dataset numbers = Dataset::range(4).batch(1);
  EXPECT_EQ(code_of([&] { StepIterator(numbers, {}, StepPosition{}); }), Code::kInvalidArgument);
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
  const StepPosition position{5, {{Position{.seed = 1, .epoch = 2}, true}, {Position(), false}}};
  const std::string bytes = position.to_bytes();
  EXPECT_EQ(bytes.size(), 20u + 2 * 41);
  EXPECT_EQ(StepPosition::from_bytes(bytes), position);
  for (const std::string& damaged :
       {std::string(), bytes.substr(1), bytes + "x", bytes.substr(0, bytes.size() - 41),
        bytes.substr(0, 20) + "\x02" + bytes.substr(21)})
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
