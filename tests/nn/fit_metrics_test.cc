#include <gtest/gtest.h>

#include "cohort/cohort.h"
#include "tests/support/prometheus.h"

namespace cohort::nn {
namespace {

using cohort::testing::parse_prometheus;

class FitMetricsTest : public ::testing::Test {
 protected:
  void SetUp() override { default_runtime().metrics().set_served_at("nowhere:1"); }
  void TearDown() override { default_runtime().metrics().set_served_at(""); }

  static cohort::testing::PrometheusText read() {
    return parse_prometheus(default_runtime().metrics().to_prometheus());
  }
  /// Other tests of this program count as well.
  static double value(const char* name) {
    const auto text = read();
    return text.families.contains(name) ? text.value(name) : 0;
  }
};

TEST_F(FitMetricsTest, FitCountsWhatItTrainsOnAndShowsItsLogs) {
  const double steps = value("cohort_steps_total"), examples = value("cohort_examples_total");
  const double collectives = value("cohort_collectives_total");
  const Model model = distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}}).scope([] {
    const Model model = Sequential({Input({.shape = {4}}), Dense({.units = 2})});
    model.compile({.optimizer = SGD(), .loss = MeanSquaredError(), .metrics = {"mse"}});
    return model;
  });
  const Tensor x = Tensor::full(DType::kF32, Shape{70, 4}, 1), y(DType::kF32, Shape{70, 2});
  double loss_within_epoch = 0;
  const History history =
      model.fit(x, y,
                {.batch_size = 16,
                 .epochs = 3,
                 .verbose = 0,
                 .callbacks = {LambdaCallback(
                     {.on_train_batch_end =
                          [&](int64_t, const Logs&) {
                            loss_within_epoch = read().value("cohort_metric", {{"name", "loss"}});
                          }})},
                 .validation_data = data::Dataset::from_tensor_slices({x, y}).batch(16)});
  const auto text = read();
  EXPECT_EQ(text.value("cohort_steps_total") - steps, 15);
  EXPECT_EQ(text.value("cohort_examples_total") - examples, 210);
  EXPECT_EQ(text.value("cohort_collectives_total") - collectives, 30) << "gradients, and metrics";
  EXPECT_EQ(text.value("cohort_epoch"), 3);
  EXPECT_GT(loss_within_epoch, 0);
  for (const char* name : {"loss", "mse", "val_loss", "val_mse"})
    EXPECT_DOUBLE_EQ(text.value("cohort_metric", {{"name", name}}), history[name].back()) << name;
  EXPECT_GT(text.value("cohort_step_seconds_total", {{"phase", "compute"}}), 0);
}

TEST_F(FitMetricsTest, ALoopOfTheUsersOwnIsCounted) {
  const distribute::Strategy strategy =
      distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
  const auto [model, optimizer] = strategy.scope([] {
    return std::pair(Sequential({Input({.shape = {2}}), Dense({.units = 1})}), Optimizer(SGD()));
  });
  const Function step = function(
      [model = model, optimizer = optimizer](Value x) {
        const Value loss = compute_average_loss(ops::reduce_sum(model(x), {.axis = {1}}));
        const auto weights = model.trainable_weights();
        optimizer.apply_gradients(zip(gradients(loss, weights), weights));
        return loss;
      },
      "step");
  const double steps = value("cohort_steps_total"), examples = value("cohort_examples_total");
  const auto rows = strategy.distribute_values_from_function([](int r) {
    return Tensor::full(DType::kF32, Shape{r + 1, 2}, 1);
  });
  for (int i = 0; i < 4; ++i) strategy.run(step, {rows});
  EXPECT_EQ(value("cohort_steps_total") - steps, 4);
  EXPECT_EQ(value("cohort_examples_total") - examples, 12);
}

}  // namespace
}  // namespace cohort::nn
