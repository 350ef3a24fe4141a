// Runs of a model inside its own callbacks: every one has its own metrics and context.
#include <gmock/gmock.h>

#include "cohort/cohort.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using ::testing::HasSubstr;

/// w x with w = 1 that does not learn: the loss of rows (x, y) is the mean of (x - y)^2.
struct Still {
  Sequential model{{Input({.shape = {1}}), Dense({.units = 1, .use_bias = false})}};
  Tensor zeros = Tensor(DType::kF32, {6, 1});
  Tensor ones = Tensor::full(DType::kF32, {6, 1}, 1);
  Tensor tens = Tensor::full(DType::kF32, {6, 1}, 10);

  Still() {
    model.set_weights({Tensor::from<float>({1}, {1, 1})});
    model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse", .metrics = {"mse"}});
  }
  /// Trains on rows whose loss is 1.
  History fit(std::vector<Callback> callbacks, int64_t epochs = 1) const {
    return model.fit(ones, zeros,
                     {.batch_size = 2, .epochs = epochs, .verbose = 0, .callbacks = callbacks});
  }
  /// Evaluates rows whose loss is 100.
  double evaluate_tens(std::vector<Callback> callbacks = {}) const {
    return model.evaluate(tens, zeros,
                          {.batch_size = 2, .verbose = 0, .callbacks = callbacks})["loss"];
  }
};

distribute::Strategy two_replicas() {
  return distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
}

TEST(NestedRunsTest, EvaluateReturnsNumbersThatStay) {
  const Still still;
  const Logs first = still.model.evaluate(still.ones, still.zeros, {.verbose = 0});
  still.evaluate_tens();
  EXPECT_EQ(first["loss"], 1);
}

TEST(NestedRunsTest, FitKeepsItsMetricsWhereACallbackEvaluates) {
  for (const bool replicated : {false, true}) {
    const Still still = replicated ? two_replicas().scope([] { return Still(); }) : Still();
    std::vector<double> inner, before, after;
    const Callback evaluates = LambdaCallback{.on_train_batch_begin =
                                                  [&](int64_t batch) {
                                                    if (batch == 1)
                                                      inner.push_back(still.evaluate_tens());
                                                  },
                                              .on_train_batch_end =
                                                  [&](int64_t, const Logs& logs) {
                                                    before.push_back(logs["loss"]);
                                                    inner.push_back(still.evaluate_tens());
                                                    after.push_back(logs["mse"]);
                                                  }};
    const History history = still.fit({evaluates}, 2);
    EXPECT_EQ(history["loss"], (std::vector<double>{1, 1}));
    EXPECT_EQ(history["mse"], (std::vector<double>{1, 1}));
    EXPECT_EQ(before, std::vector<double>(6, 1));
    EXPECT_EQ(after, std::vector<double>(6, 1));
    EXPECT_EQ(inner, std::vector<double>(8, 100));
  }
}

TEST(NestedRunsTest, LogsOfTheOuterRunReadInsideTheInner) {
  const Still still;
  double outer = 0;
  const Callback callback = LambdaCallback{.on_train_batch_end = [&](int64_t, const Logs& logs) {
    struct Reads : CallbackImpl {
      Reads(const Logs& logs, double& seen) : logs(logs), seen(seen) {}
      void on_test_batch_end(int64_t, const Logs&) override { seen = logs["loss"]; }
      const Logs& logs;
      double& seen;
    };
    still.evaluate_tens({make<Reads>(logs, outer)});
  }};
  still.fit({callback});
  EXPECT_EQ(outer, 1);
}

TEST(NestedRunsTest, ValidationGoesOnWhereACallbackPredictsAndTestsABatch) {
  struct Disturbs : CallbackImpl {
    explicit Disturbs(const Still& still) : still(still) {}
    void on_test_batch_end(int64_t, const Logs&) override {
      still.model.predict(still.tens, {.verbose = 0});
      still.model.test_on_batch(still.tens, still.zeros);
    }
    const Still& still;
  };
  const Still still;
  const History history = still.model.fit(still.ones, still.zeros,
                                          {.batch_size = 2,
                                           .epochs = 2,
                                           .verbose = 0,
                                           .callbacks = {make<Disturbs>(still)},
                                           .validation_data = {still.ones, still.zeros}});
  EXPECT_EQ(history["loss"], (std::vector<double>{1, 1}));
  EXPECT_EQ(history["val_loss"], (std::vector<double>{1, 1}));
}

TEST(NestedRunsTest, OneDatasetServesBothRuns) {
  const Still still;
  const data::Dataset dataset =
      data::Dataset::from_tensor_slices({still.ones, still.zeros}).cache().batch(2).prefetch();
  std::vector<double> inner;
  const Callback evaluates = LambdaCallback{.on_train_batch_end = [&](int64_t, const Logs&) {
    inner.push_back(still.model.evaluate(dataset, {.verbose = 0})["loss"]);
  }};
  std::vector<int64_t> batches;
  const LambdaCallback counts(
      {.on_train_batch_end = [&](int64_t batch, const Logs&) { batches.push_back(batch); }});
  const History history =
      still.model.fit(dataset, {.epochs = 2, .verbose = 0, .callbacks = {evaluates, counts}});
  EXPECT_EQ(history["loss"], (std::vector<double>{1, 1}));
  EXPECT_EQ(batches, (std::vector<int64_t>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(inner, std::vector<double>(6, 1));
}

TEST(NestedRunsTest, FitInsideFitHasItsOwnMetricsEpochsAndEnd) {
  const Still still;
  std::vector<double> inner;
  std::vector<int64_t> batches;
  const LambdaCallback stops(
      {.on_train_batch_end = [&](int64_t, const Logs&) { still.model.set_stop_training(true); }});
  const Callback trains = LambdaCallback{.on_train_batch_end = [&](int64_t batch, const Logs&) {
    batches.push_back(batch);
    const History history =
        still.model.fit(still.tens, still.zeros,
                        {.batch_size = 3, .epochs = 2, .verbose = 0, .callbacks = {stops}});
    inner.insert(inner.end(), history["loss"].begin(), history["loss"].end());
  }};
  const History history = still.fit({trains}, 2);
  EXPECT_EQ(history["loss"], (std::vector<double>{1, 1}));
  EXPECT_EQ(batches, (std::vector<int64_t>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(inner, std::vector<double>(6, 100));  // each stopped in its first epoch
}

TEST(NestedRunsTest, AStopAskedForBeforeAnInnerFitHolds) {
  const Still still;
  const Callback callback = LambdaCallback{.on_epoch_end = [&](int64_t, const Logs&) {
    still.model.set_stop_training(true);
    still.model.fit(still.ones, still.zeros, {.epochs = 2, .verbose = 0});
  }};
  EXPECT_EQ(still.fit({callback}, 5).epoch().size(), 1u);
}

TEST(NestedRunsTest, ACallbackOfBothRunsHasTheOuterContextAgain) {
  struct Recurses : CallbackImpl {
    explicit Recurses(const Still& still) : still(still) {}
    void on_epoch_end(int64_t, const Logs&) override {
      if (inside) return;
      inside = true;
      still.model.fit(still.ones, still.zeros, {.epochs = 2, .verbose = 0, .callbacks = {self}});
      inside = false;
      epochs = params().epochs;
      name = model().name();
    }
    const Still& still;
    Callback self;
    bool inside = false;
    int64_t epochs = 0;
    std::string name;
  };
  const Still still;
  const auto impl = std::make_shared<Recurses>(still);
  impl->self = Callback(impl);
  still.fit({impl->self}, 3);
  EXPECT_EQ(impl->epochs, 3);
  EXPECT_EQ(impl->name, still.model.name());
  impl->self = {};
}

TEST(NestedRunsTest, MoreStructuresThanAreKeptLeaveTheOuterStepAlive) {
  const Still still;
  const Callback callback = LambdaCallback{.on_train_batch_begin = [&](int64_t batch) {
    for (int64_t i = 0; batch == 1 && i < 20; ++i)
      still.model.test_on_batch(still.tens, still.zeros,
                                {.class_weight = {{0, static_cast<double>(i)}}});
  }};
  EXPECT_EQ(still.fit({callback})["loss"], std::vector<double>{1});
}

TEST(NestedRunsTest, AnInnerRunThatFailsLeavesTheOuterOneWhole) {
  const Still still;
  int failures = 0;
  const Callback callback = LambdaCallback{.on_train_batch_end = [&](int64_t, const Logs&) {
    const LambdaCallback fails(
        {.on_train_batch_end = [](int64_t, const Logs&) { throw Aborted("enough"); }});
    failures += error_of([&] {
                  still.model.fit(still.tens, still.zeros, {.verbose = 0, .callbacks = {fails}});
                }) == "enough";
  }};
  EXPECT_EQ(still.fit({callback}, 2)["loss"], (std::vector<double>{1, 1}));
  EXPECT_EQ(failures, 6);
}

TEST(NestedRunsTest, StepsOfAnInnerFitTakeRandomNumbersOfTheirOwn) {
  // One row, whose loss tells how many of its 1000 elements the step kept.
  const Tensor x = Tensor::full(DType::kF32, {1, 1000}, 1), y(DType::kF32, {1, 1});
  const auto make_model = [] {
    set_random_seed(3);
    const Sequential model({Input({.shape = {1000}}), Dropout({.rate = 0.5}),
                            Dense({.units = 1, .kernel_initializer = "ones"})});
    model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse"});
    return model;
  };
  const std::vector<double> steps = make_model().fit(x, y, {.epochs = 3, .verbose = 0})["loss"];
  ASSERT_NE(steps[1], steps[2]);

  const Sequential model = make_model();
  std::vector<double> inner;
  const Callback trains = LambdaCallback{.on_epoch_end = [&](int64_t epoch, const Logs&) {
    if (epoch == 0) inner = model.fit(x, y, {.verbose = 0})["loss"];
  }};
  EXPECT_EQ(model.fit(x, y, {.epochs = 2, .verbose = 0, .callbacks = {trains}})["loss"],
            (std::vector<double>{steps[0], steps[2]}));
  EXPECT_EQ(inner, std::vector<double>{steps[1]});
}

TEST(NestedRunsTest, CompileInACallbackIsRefused) {
  const Still still;
  const Callback callback = LambdaCallback{.on_epoch_end = [&](int64_t, const Logs&) {
    still.model.compile({.optimizer = "sgd", .loss = "mse"});
  }};
  EXPECT_THAT(error_of([&] { still.fit({callback}); }), HasSubstr("while the model runs"));
  still.model.compile({.optimizer = "sgd", .loss = "mse"});  // not refused afterwards
}

}  // namespace
}  // namespace cohort::nn
