#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "cohort/cohort.h"
#include "tests/checkpoint/support.h"
#include "tests/support/expect_error.h"

/// What is saved comes back bit for bit, and training goes on as if nothing had happened.
namespace cohort::nn {
namespace {

using checkpoint::random_tensor;
using checkpoint::TemporaryDirectory;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::HasSubstr;

/// Four one-thread devices for every test of this program.
class LogicalDevices : public ::testing::Environment {
 public:
  void SetUp() override { default_runtime().set_logical_cpu_devices(4, 1); }
};
const ::testing::Environment* const kLogicalDevices =
    ::testing::AddGlobalTestEnvironment(new LogicalDevices);

/// Has what keeps state: dropout's counters, moving statistics, slots.
Model make_model(const Optimizer& optimizer) {
  set_random_seed(3);
  Sequential model({Dense({.units = 8, .activation = "relu"}), BatchNormalization(),
                    Dropout({.rate = 0.3}), Dense({.units = 5})});
  model.compile({.optimizer = optimizer,
                 .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                 .metrics = {"accuracy"}});
  return model;
}

using MakeOptimizer = std::function<Optimizer()>;

std::vector<std::pair<std::string, MakeOptimizer>> optimizers() {
  return {{"sgd", [] { return SGD(); }},
          {"momentum", [] { return SGD({.momentum = 0.9, .nesterov = true}); }},
          {"adam", [] { return Adam(); }},
          {"amsgrad", [] { return Adam({.amsgrad = true, .clipvalue = 0.05}); }},
          {"accumulating", [] { return Adam({.gradient_accumulation_steps = 3}); }},
          {"nadam", [] { return Nadam(); }},
          {"rmsprop", [] { return RMSprop({.momentum = 0.5, .centered = true}); }},
          {"scheduled", [] {
             return SGD({.learning_rate = schedules::ExponentialDecay(
                             {.initial_learning_rate = 0.1, .decay_steps = 4, .decay_rate = 0.5})});
           }}};
}

using Strategies = std::vector<std::pair<std::string, distribute::Strategy>>;
Strategies strategies() {
  return {{"two devices", distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}})},
          {"two devices that divide the slots",
           distribute::MirroredStrategy(
               {.devices = {"cpu:2", "cpu:3"}, .sharding = distribute::Sharding::kZero1})},
          {"one device", distribute::MirroredStrategy({.devices = {"cpu:0"}, .num_replicas = 2})}};
}

void train(const Model& model, int64_t from, int64_t to) {
  model.fit(checkpoint::shuffled_examples(), {.epochs = to, .verbose = 0, .initial_epoch = from});
}

TEST(CheckpointTest, TrainingGoesOnFromAnEpochsEndAsIfUndisturbed) {
  for (const auto& [name, make] : optimizers())
    for (const auto& [where, strategy] : strategies()) {
      SCOPED_TRACE(name + " on " + where);
      const auto model = [&, make = make] { return make_model(make()); };
      const Model undisturbed = strategy.scope(model);
      train(undisturbed, 0, 4);
      const TemporaryDirectory directory;
      {
        const Model first = strategy.scope(model);
        train(first, 0, 2);
        Checkpoint({{"model", first}}).save(directory.path("d"));
      }
      for (const auto& [there, other] : strategies()) {
        const Model second = other.scope(model);
        const RestoreStatus status = Checkpoint({{"model", second}}).restore(directory.path("d"));
        train(second, 2, 4);
        status.assert_consumed();
        EXPECT_EQ(second.fingerprint(), undisturbed.fingerprint()) << there;
        EXPECT_EQ(second.optimizer().iterations(), undisturbed.optimizer().iterations());
      }
    }
}

TEST(CheckpointTest, ValuesComeBackBitForBitIntoABuiltModel) {
  const TemporaryDirectory directory;
  const Model model = make_model(Adam());
  train(model, 0, 1);
  const std::string before = model.fingerprint();
  const Checkpoint checkpoint({{"model", model}});
  EXPECT_EQ(checkpoint.save(directory.path("d")), directory.path("d/step-000000000001"));
  train(model, 1, 2);
  ASSERT_NE(model.fingerprint(), before);
  const RestoreStatus status = checkpoint.restore(directory.path("d"));
  status.assert_consumed();
  EXPECT_EQ(status.step(), 1u);
  EXPECT_EQ(model.fingerprint(), before);
  EXPECT_EQ(model.optimizer().iterations(), 5);
}

TEST(CheckpointTest, ValuesWaitForCompileAndForWeightsAndSlotsToBeMade) {
  const TemporaryDirectory directory;
  const Model saved = make_model(Adam());
  train(saved, 0, 1);
  Checkpoint({{"model", saved}}).save(directory.path());
  set_random_seed(99);
  const Sequential model({Dense({.units = 8, .activation = "relu"}), BatchNormalization(),
                          Dropout({.rate = 0.3}), Dense({.units = 5})});
  const RestoreStatus status = Checkpoint({{"model", model}}).restore(directory.path());
  EXPECT_TRUE(status.missing().empty());
  expect_error(Code::kFailedPrecondition, {"model/layers/dense/kernel"},
               [&] { status.assert_consumed(); });
  model.build({{DType::kF32, Shape{batch_dim(), 6}}});
  EXPECT_EQ(model.fingerprint(), saved.fingerprint());
  model.compile({.optimizer = Adam(),
                 .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                 .metrics = {"accuracy"}});
  EXPECT_EQ(model.optimizer().iterations(), 5);
  default_runtime().set_random_seed(3);
  train(saved, 1, 2);
  train(model, 1, 2);
  status.assert_consumed();
  EXPECT_EQ(model.fingerprint(), saved.fingerprint());
}

TEST(CheckpointTest, AnOptimizerThatTakesTheRestoredOnesPlaceBeginsAnew) {
  const TemporaryDirectory directory;
  const Model saved = make_model(Adam());
  train(saved, 0, 1);
  Checkpoint({{"model", saved}}).save(directory.path());
  const Model model = make_model(Adam());
  const RestoreStatus status = Checkpoint({{"model", model}}).restore(directory.path());
  model.compile({.optimizer = Adam({.learning_rate = 0}),
                 .loss = SparseCategoricalCrossentropy({.from_logits = true})});
  train(model, 0, 1);
  EXPECT_EQ(model.optimizer().iterations(), 5);
  const auto unused = status.unused();
  EXPECT_THAT(unused, Contains("model/optimizer/momentum/layers/dense/kernel"));
  EXPECT_THAT(unused, ::testing::Not(Contains("model/layers/dense/kernel")));
  status.expect_partial();
}

TEST(CheckpointTest, LayersThatAreAddedLaterTakeTheirValues) {
  const TemporaryDirectory directory;
  const Sequential saved({Input({.shape = {3}}), Dense({.units = 2}), Dense({.units = 2})});
  Checkpoint({{"model", saved}}).save(directory.path());
  const Sequential model({Input({.shape = {3}}), Dense({.units = 2})});
  const RestoreStatus status = Checkpoint({{"model", model}}).restore(directory.path());
  model.add(Dense({.units = 2}));
  model.build({{DType::kF32, Shape{1, 3}}});
  status.assert_consumed();
  EXPECT_EQ(model.fingerprint(), saved.fingerprint());
}

TEST(CheckpointTest, MissingAndUnusedNamesAreListed) {
  const TemporaryDirectory directory;
  const Variable a(Tensor::scalar(1.f)), b(Tensor::scalar(2.f)), c(Tensor::scalar(3.f));
  Checkpoint({{"a", a}, {"b", b}}).save(directory.path());
  a.assign(Tensor::scalar(7.f));
  const auto status = Checkpoint({{"a", a}, {"c", c}}).restore(directory.path());
  EXPECT_EQ(a.value().item(), 1.f);
  EXPECT_THAT(status.missing(), ElementsAre("c"));
  EXPECT_THAT(status.unused(), ElementsAre("b"));
  expect_error(Code::kFailedPrecondition, {"nothing has taken (yet): b"},
               [&] { status.assert_consumed(); });
  expect_error(Code::kFailedPrecondition, {"no value for c"},
               [&] { status.assert_existing_objects_matched(); });
  status.expect_partial();
}

TEST(CheckpointTest, WhoAssertsNothingIsWarnedOnce) {
  const TemporaryDirectory directory;
  const Variable a(Tensor::scalar(1.f)), b(Tensor::scalar(2.f)), c(Tensor::scalar(3.f));
  Checkpoint({{"a", a}, {"b", b}}).save(directory.path());
  const Checkpoint other({{"a", a}, {"c", c}});
  ::testing::internal::CaptureStderr();
  other.restore(directory.path());
  const std::string warned = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(warned, HasSubstr("has no value for c\n"));
  EXPECT_THAT(warned, HasSubstr("nothing took the values of b\n"));
  ::testing::internal::CaptureStderr();
  other.restore(directory.path()).expect_partial();
  Checkpoint({{"a", a}, {"b", b}}).restore(directory.path());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(CheckpointTest, OtherTypesAreRefusedBeforeAnythingChanges) {
  const TemporaryDirectory directory;
  const Variable a(Tensor::scalar(1.f)), b(Tensor(DType::kF32, Shape{2, 3}));
  Checkpoint({{"a", a}, {"b", b}}).save(directory.path());
  a.assign(Tensor::scalar(7.f));
  const Variable other(Tensor(DType::kF32, Shape{3, 2}));
  expect_error(Code::kInvalidArgument, {"b: got float32 [2, 3]; want float32 [3, 2]"}, [&] {
    Checkpoint({{"a", a}, {"b", other}}).restore(directory.path());
  });
  EXPECT_EQ(a.value().item(), 7.f);
  const Variable wide(Tensor(DType::kF64, Shape{2, 3}));
  expect_error(Code::kInvalidArgument, {"want float64 [2, 3]"}, [&] {
    Checkpoint({{"a", a}, {"b", wide}}).restore(directory.path());
  });
}

TEST(CheckpointTest, DamagedOnesArePassedOverAloud) {
  const TemporaryDirectory directory;
  const Variable a(Tensor::scalar(1.f));
  const Checkpoint checkpoint({{"a", a}});
  checkpoint.save(directory.path());
  a.assign(Tensor::scalar(2.f));
  const std::string newer = checkpoint.save(directory.path());
  std::filesystem::resize_file(newer + "/data-00001-of-00001.safetensors", 4097);
  ::testing::internal::CaptureStderr();
  const RestoreStatus status = checkpoint.restore(directory.path());
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("skipped " + newer), HasSubstr("got 4097 bytes")));
  EXPECT_EQ(a.value().item(), 1.f);
  ASSERT_EQ(status.skipped().size(), 1u);
  expect_error(Code::kDataLoss, {newer}, [&] { checkpoint.restore(newer); });
  EXPECT_EQ(a.value().item(), 1.f);
}

TEST(CheckpointTest, StepsThatAreThereAndPlacesWithoutAnyAreNamed) {
  const TemporaryDirectory directory;
  const Checkpoint checkpoint({{"a", Variable(Tensor::scalar(1.f))}});
  EXPECT_THAT(checkpoint.save(directory.path(), {.step = 70}), HasSubstr("step-000000000070"));
  EXPECT_THAT(checkpoint.save(directory.path()), HasSubstr("step-000000000071"));
  expect_error(Code::kAlreadyExists, {"step-000000000070"},
               [&] { checkpoint.save(directory.path(), {.step = 70}); });
  expect_error(Code::kNotFound, {"none", "no checkpoint"},
               [&] { checkpoint.restore(directory.path("none")); });
  std::ofstream(directory.path("file")) << "x";
  expect_error(Code::kNotFound, {"file"}, [&] { checkpoint.save(directory.path("file/d")); });
}

TEST(CheckpointTest, WhatEachReplicaWritesIsSavedAsOneAndSharedOut) {
  const TemporaryDirectory directory;
  const auto strategy = distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
  const Variable count = strategy.scope([] {
    return Variable(Tensor::scalar<int64_t>(0),
                    VariableOptions{.name = "count",
                                    .trainable = false,
                                    .synchronization = VariableSynchronization::kOnRead,
                                    .aggregation = VariableAggregation::kSum});
  });
  const Function step([&](std::span<const Value>) {
    ops::assign_add(count.shared(), ops::scalar(5, DType::kI64));
    return std::vector<Value>{count.read()};
  });
  strategy.run(step, {});
  const Checkpoint checkpoint({{"count", count}});
  checkpoint.save(directory.path());
  strategy.run(step, {});
  EXPECT_EQ(count.value().item<int64_t>(), 20);
  checkpoint.restore(directory.path()).assert_consumed();
  EXPECT_EQ(count.value().item<int64_t>(), 10);
  strategy.run(step, {});
  EXPECT_EQ(count.value().item<int64_t>(), 20);
}

TEST(CheckpointManagerTest, KeepsTheNewestTheBestAndTheLock) {
  const TemporaryDirectory directory;
  const Variable a(Tensor::scalar(1.f));
  const Checkpoint checkpoint({{"a", a}});
  CheckpointManager manager(checkpoint,
                            {.directory = directory.path("d"), .max_to_keep = 2, .keep_best = 1});
  EXPECT_FALSE(manager.restore_or_initialize());
  EXPECT_EQ(manager.latest_checkpoint(), std::nullopt);
  for (const double metric : {3.0, 1.0, 2.0, 5.0, 4.0}) {
    a.assign(Tensor::scalar(static_cast<float>(metric)));
    manager.save({.metric = metric});
  }
  EXPECT_THAT(manager.checkpoints(), ElementsAre(directory.path("d/step-000000000002"),
                                                 directory.path("d/step-000000000004"),
                                                 directory.path("d/step-000000000005")));
  a.assign(Tensor::scalar(0.f));
  EXPECT_EQ(manager.restore_or_initialize()->step(), 5u);
  EXPECT_EQ(a.value().item(), 4.f);
  expect_error(Code::kFailedPrecondition, {"this process"},
               [&] { checkpoint.save(directory.path("d")); });
}

TEST(CheckpointManagerTest, OptionsThatKeepNothingAreRefused) {
  const Checkpoint checkpoint({{"a", Variable(Tensor::scalar(1.f))}});
  expect_error(Code::kInvalidArgument, {"max_to_keep 0"},
               [&] { CheckpointManager(checkpoint, {.directory = "d", .max_to_keep = 0}); });
  expect_error(Code::kInvalidArgument, {"empty directory"},
               [&] { CheckpointManager(checkpoint, {}); });
}

}  // namespace
}  // namespace cohort::nn
