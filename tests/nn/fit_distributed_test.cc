// Models that are trained on datasets which their strategy has split already.
#include <functional>

#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/distributed_dataset.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using data::Dataset;
using distribute::DistributedDataset;
using distribute::Strategy;

Strategy mirrored(int devices, int replicas) {
  distribute::MirroredOptions options{.num_replicas = replicas};
  for (int i = 0; i < devices; ++i) options.devices.push_back("cpu:" + std::to_string(i));
  return distribute::MirroredStrategy(options);
}

Tensor waves(int64_t rows) {
  Tensor tensor(DType::kF32, {rows, 6});
  for (int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.data<float>()[i] = static_cast<float>(std::sin(1.7 * static_cast<double>(i)));
  return tensor;
}

Dataset examples(int64_t rows) {
  Tensor labels(DType::kI32, {rows});
  for (int64_t i = 0; i < rows; ++i) labels.data<int32_t>()[i] = static_cast<int32_t>(i * 5 % 3);
  return Dataset::from_tensor_slices({waves(rows), labels});
}

/// With a weight for each example.
Dataset weighted(int64_t rows) {
  Tensor weights(DType::kF32, {rows});
  for (int64_t i = 0; i < rows; ++i) weights.data<float>()[i] = static_cast<float>(i % 4) / 2;
  return Dataset::zip({examples(rows), Dataset::from_tensor_slices({weights})});
}

Model make_model(const Strategy& strategy) {
  set_random_seed(3);
  return strategy.scope([] {
    const Model model =
        Sequential({Input({.shape = {6}}), Dense({.units = 8, .activation = "relu"}),
                    Dropout({.rate = 0.3}), Dense({.units = 3})});
    model.compile({.optimizer = Adam({.learning_rate = 0.01}),
                   .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                   .metrics = {"accuracy"},
                   .weighted_metrics = {"accuracy"}});
    return model;
  });
}

struct Trained {
  std::vector<Tensor> weights;
  History history;
};

template <class Data>
Trained train(const Strategy& strategy, const Data& data, FitOptions options = {}) {
  options.verbose = 0;
  const Model model = make_model(strategy);
  const History history = model.fit(data, std::move(options));
  return {model.get_weights(), history};
}

void expect_same_bits(const Trained& got, const Trained& want, const std::string& what) {
  for (size_t i = 0; i < want.weights.size(); ++i)
    EXPECT_TRUE(bitwise_equal(got.weights[i], want.weights[i])) << what << ", weight " << i;
  EXPECT_EQ(got.history.history(), want.history.history()) << what;
}

void expect_close(const Trained& got, const Trained& want) {
  for (size_t i = 0; i < want.weights.size(); ++i)
    expect_near(got.weights[i], want.weights[i], 2e-5, "weight " + std::to_string(i));
}

TEST(FitDistributedTest, TheSameSplitGivesTheBitsOfThePlainDataset) {
  const Dataset batches = examples(64).shuffle(64).batch(16);
  const FitOptions options{.epochs = 3, .class_weight = {{0, 2.0}, {2, 0.5}}};
  for (const auto& [devices, replicas] : {std::pair{1, 1}, {2, 2}, {2, 4}, {1, 4}}) {
    const Strategy strategy = mirrored(devices, replicas);
    expect_same_bits(train(strategy, strategy.experimental_distribute_dataset(batches), options),
                     train(strategy, batches, options),
                     std::to_string(replicas) + " replicas on " + std::to_string(devices));
  }
}

TEST(FitDistributedTest, ExamplesOfAnUnevenLastBatchWeighTheSame) {
  const Strategy strategy = mirrored(2, 2);
  const Dataset batches = weighted(70).shuffle(70).batch(16);  // the last has 6 rows
  const Trained plain = train(strategy, batches, {.epochs = 2});
  // 3 and 3 rows, where the plain dataset has 6 and none.
  expect_close(train(strategy, strategy.experimental_distribute_dataset(batches), {.epochs = 2}),
               plain);
  // By rows: the plain dataset's split.
  const auto by_rows = batches.with_options({.auto_shard_policy = data::AutoShardPolicy::kOff});
  expect_same_bits(
      train(strategy, strategy.experimental_distribute_dataset(by_rows), {.epochs = 2}), plain,
      "by rows");
}

TEST(FitDistributedTest, StepsPerEpochGoOnWhereTheLastEpochEnded) {
  const Strategy strategy = mirrored(2, 2);
  const Dataset endless = examples(64).shuffle(64).batch(16).repeat();
  const DistributedDataset distributed = strategy.experimental_distribute_dataset(endless);
  EXPECT_EQ(distributed.cardinality(), data::kInfiniteCardinality);
  const FitOptions options{.epochs = 3, .steps_per_epoch = 3};
  expect_same_bits(train(strategy, distributed, options), train(strategy, endless, options), "");
  EXPECT_NE(error_of([&] { train(strategy, distributed); }).find("endless dataset"),
            std::string::npos);
  // A dataset of 4 steps begins again within the second epoch.
  const Dataset finite = examples(64).batch(16);
  expect_same_bits(train(strategy, strategy.experimental_distribute_dataset(finite), options),
                   train(strategy, finite, options), "begins again");
}

TEST(FitDistributedTest, ValidatesEvaluatesAndPredictsOnDistributedDatasets) {
  const Strategy strategy = mirrored(2, 2);
  const Dataset batches = examples(64).batch(16), validation = examples(32).batch(8);
  const DistributedDataset split = strategy.experimental_distribute_dataset(validation);
  const Trained plain = train(strategy, batches, {.epochs = 2, .validation_data = validation});
  ASSERT_EQ(plain.history["val_loss"].size(), 2u);
  expect_same_bits(train(strategy, strategy.experimental_distribute_dataset(batches),
                         {.epochs = 2, .validation_data = split}),
                   plain, "");
  const Model model = make_model(strategy);
  EXPECT_EQ(model.evaluate(split, {.verbose = 0})["loss"],
            model.evaluate(validation, {.verbose = 0})["loss"]);
  EXPECT_TRUE(bitwise_equal(model.predict(split, {.verbose = 0}),
                            model.predict(validation, {.verbose = 0})));
  EXPECT_EQ(model.predict(split, {.verbose = 0, .steps = 2}).size(0), 16);
  // Three replicas: 3, 3 and 2 rows of each batch, in the dataset's order.
  const Strategy three = mirrored(1, 3);
  EXPECT_TRUE(bitwise_equal(
      make_model(three).predict(three.experimental_distribute_dataset(validation), {.verbose = 0}),
      model.predict(validation, {.verbose = 0})));
}

TEST(FitDistributedTest, EachReplicaTakesAnElementOfAFunctionsDataset) {
  const Strategy strategy = mirrored(2, 2);
  int calls = 0;
  const DistributedDataset distributed =
      strategy.distribute_datasets_from_function([&](const distribute::InputContext& context) {
        ++calls;
        return examples(64).batch(context.get_per_replica_batch_size(16));
      });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(distributed.cardinality(), 4);
  expect_same_bits(train(strategy, distributed, {.epochs = 2}),
                   train(strategy, examples(64).batch(16), {.epochs = 2}), "");
}

TEST(FitDistributedTest, CountsTheStepsOfAnEpoch) {
  const auto steps = [](const Strategy& strategy, const Dataset& dataset) {
    return strategy.experimental_distribute_dataset(dataset).cardinality();
  };
  EXPECT_EQ(steps(mirrored(2, 2), examples(70).batch(16)), 5);
  EXPECT_EQ(steps(mirrored(2, 2), examples(70).batch(16, {.drop_remainder = true})), 4);
  EXPECT_EQ(steps(mirrored(1, 1), examples(70).batch(16)), 5);
  const Dataset unknown = examples(70).batch(16).filter([](const data::Element&) { return true; });
  EXPECT_EQ(steps(mirrored(2, 2), unknown), data::kUnknownCardinality);
}

TEST(FitDistributedTest, TheDatasetIsOneOfTheModelsStrategy) {
  const Strategy strategy = mirrored(2, 2);
  const DistributedDataset distributed =
      strategy.experimental_distribute_dataset(examples(64).batch(16));
  const Model model = make_model(mirrored(2, 2));  // another one, of equal form
  for (const auto& [what, body] : std::vector<std::pair<std::string, std::function<void()>>>{
           {"fit: got", [&] { model.fit(distributed); }},
           {"fit: validation: got",
            [&] { model.fit(examples(64).batch(16), {.validation_data = distributed}); }},
           {"evaluate: got", [&] { model.evaluate(distributed); }},
           {"predict: got", [&] { model.predict(distributed); }}}) {
    const std::string error = error_of(body);
    EXPECT_EQ(error.find(what), 0u) << error;
    EXPECT_NE(error.find("MirroredStrategy with 2 replicas has distributed"), std::string::npos)
        << error;
  }
  // What holds outside of scopes is one strategy, however it was come by.
  const Dataset batches = examples(64).batch(16);
  expect_same_bits(train(distribute::current_strategy(),
                         distribute::default_strategy().experimental_distribute_dataset(batches)),
                   train(distribute::default_strategy(), batches), "default");
}

TEST(FitDistributedTest, RefusesWhatADatasetHasOfItsOwn) {
  const Strategy strategy = mirrored(2, 2);
  const Model model = make_model(strategy);
  const auto split = [&](const Dataset& dataset) {
    return strategy.experimental_distribute_dataset(dataset);
  };
  const DistributedDataset distributed = split(examples(64).batch(16));
  const Tensor weights = Tensor::full(DType::kF32, {64}, 1);
  for (const auto& [text, body] : std::vector<std::pair<std::string, std::function<void()>>>{
           {"batch_size 8 with a dataset", [&] { model.fit(distributed, {.batch_size = 8}); }},
           {"validation_split", [&] { model.fit(distributed, {.validation_split = 0.5}); }},
           {"sample_weight", [&] { model.fit(distributed, {.sample_weight = {weights}}); }},
           {"class_weight and sample_weight",
            [&] {
              model.fit(split(weighted(64).batch(16)), {.class_weight = {{0, 2.0}}});
            }},
           {"a dataset without a batch",
            [&] { model.fit(split(examples(64).batch(16).take(0)), {.verbose = 0}); }}}) {
    const std::string error = error_of(body);
    EXPECT_NE(error.find(text), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace cohort::nn
