// Models with steps of their own: what an override means on several replicas.
#include <gmock/gmock.h>

#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using ::testing::HasSubstr;

class OwnStepsTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_random_seed(7); }

  template <class M>
  Model made() const {
    std::vector<std::string> devices;
    for (int i = 0; i < GetParam(); ++i) devices.push_back("cpu:" + std::to_string(i));
    return distribute::MirroredStrategy({.devices = devices}).scope([] {
      const Model model = make<M>();
      model.build({{DType::kF32, {batch_dim(), 3}}});
      return model;
    });
  }
};

INSTANTIATE_TEST_SUITE_P(Replicas, OwnStepsTest, ::testing::Values(1, 2, 3));

/// y = Dense(2)(x), with nothing of its own.
class Plain : public ModelImpl {
 public:
  Plain() : ModelImpl("Plain") {}
  std::vector<Value> call(const CallArgs& args) override { return {dense_(args.input())}; }

 protected:
  Layer dense_ = child("dense", Dense{.units = 2});
};

Tensor column(int64_t rows, int64_t columns, double from) {
  Tensor tensor(DType::kF32, {rows, columns});
  for (int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.data<float>()[i] = static_cast<float>(std::sin(from + static_cast<double>(i)));
  return tensor;
}

/// Seven rows in batches of 4 and 3: shares of replicas are uneven, and one may have no rows.
History fit(const Model& model, int64_t epochs = 2) {
  return model.fit(column(7, 3, 0.1), column(7, 2, 0.7),
                   {.batch_size = 4, .epochs = epochs, .verbose = 0, .shuffle = false});
}

void expect_same_training(const Model& got, const Model& want, const History& got_history,
                          const History& want_history) {
  for (size_t i = 0; i < want.weights().size(); ++i)
    expect_near(got.get_weights()[i], want.get_weights()[i], 1e-5, want.weights()[i].path());
  for (size_t epoch = 0; epoch < want_history["loss"].size(); ++epoch)
    EXPECT_NEAR(got_history["loss"][epoch], want_history["loss"][epoch], 1e-5) << epoch;
}

/// The mean squared error, written out.
class OwnLoss : public Plain {
 public:
  Value compute_loss(const StepBatch& batch) override {
    const Value squares = ops::square(batch.y[0] - batch.y_pred[0]);
    return compute_average_loss(ops::reduce_mean(squares, {.axis = {-1}}));
  }
};

TEST_P(OwnStepsTest, ALossOfOnesOwnIsAShareOfTheGlobalBatch) {
  const Model own = made<OwnLoss>(), plain = made<Plain>();
  own.set_weights(plain.get_weights());
  own.compile({.optimizer = SGD({.learning_rate = 0.1})});
  plain.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse"});
  const History got = fit(own), want = fit(plain);
  expect_same_training(own, plain, got, want);
  const EvaluateOptions quiet{.batch_size = 4, .verbose = 0};
  EXPECT_NEAR(own.evaluate(column(7, 3, 0.1), column(7, 2, 0.7), quiet)["loss"],
              plain.evaluate(column(7, 3, 0.1), column(7, 2, 0.7), quiet)["loss"], 1e-5);
}

/// What fit does, in a step of one's own, and a metric.
class OwnStep : public Plain {
 public:
  Value train_step(StepBatch batch) override {
    batch.y_pred = apply(batch.x, {.training = true});
    const Value loss = compute_loss(batch);
    const std::vector<Variable> variables = handle().trainable_weights();
    const Optimizer update = optimizer();
    update.apply_gradients(zip(gradients(loss, variables), variables));
    compute_metrics(batch);
    rows_.update_state(ops::square(batch.y[0]));
    return loss;
  }
  Value test_step(StepBatch batch) override {
    batch.y_pred = apply(batch.x, {.training = false});
    compute_metrics(batch);
    return compute_loss(batch) * 2.0;
  }

 private:
  Metric rows_ = track(Mean{.name = "square"});
};

TEST_P(OwnStepsTest, AStepOfOnesOwnSumsGradientsAndMetricsOverReplicas) {
  const Model own = made<OwnStep>(), plain = made<Plain>();
  own.set_weights(plain.get_weights());
  for (const Model& model : {own, plain})
    model.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse", .metrics = {"mae"}});
  const History got = fit(own), want = fit(plain);
  expect_same_training(own, plain, got, want);
  double squares = 0;
  for (const double y : numbers(column(7, 2, 0.7))) squares += y * y / 14;
  for (size_t epoch = 0; epoch < 2; ++epoch) {
    EXPECT_NEAR(got["mae"][epoch], want["mae"][epoch], 1e-5);
    EXPECT_NEAR(got["square"][epoch], squares, 1e-5) << "begins anew with every epoch";
  }
  const EvaluateOptions quiet{.batch_size = 4, .verbose = 0};
  const Logs tested = own.evaluate(column(7, 3, 0.1), column(7, 2, 0.7), quiet);
  const Logs plainly = plain.evaluate(column(7, 3, 0.1), column(7, 2, 0.7), quiet);
  EXPECT_NEAR(tested["loss"], 2 * plainly["loss"], 1e-5);
  EXPECT_NEAR(tested["mae"], plainly["mae"], 1e-5);
}

/// Metrics of one's own beside those of compile().
class OwnMetrics : public Plain {
 public:
  void compute_metrics(const StepBatch& batch) override {
    Plain::compute_metrics(batch);
    largest_.update_state(ops::reduce_max(batch.y_pred[0], {.axis = {-1}}));
  }

 private:
  Metric largest_ = track(Mean{.name = "largest"});
};

TEST_P(OwnStepsTest, MetricsOfOnesOwnAreLoggedBesideThoseOfCompile) {
  const Model own = made<OwnMetrics>();
  own.compile({.optimizer = SGD({.learning_rate = 0.0}), .loss = "mse", .metrics = {"mae"}});
  const History history = fit(own, 1);
  const std::vector<double> y =
      numbers(own.predict(column(7, 3, 0.1), {.batch_size = 7, .verbose = 0}));
  double largest = 0;
  for (size_t row = 0; row < 7; ++row) largest += std::max(y[2 * row], y[2 * row + 1]) / 7;
  EXPECT_NEAR(history["largest"][0], largest, 1e-5);
  EXPECT_EQ(history["mae"].size(), 1);
  EXPECT_NEAR(own.evaluate(column(7, 3, 0.1), column(7, 2, 0.7),
                           {.batch_size = 4, .verbose = 0})["largest"],
              largest, 1e-5);
}

TEST(OwnStepErrorsTest, AStepThatGivesNoScalarIsRefused) {
  struct Wrong : Plain {
    Value compute_loss(const StepBatch& batch) override { return batch.y_pred[0]; }
  };
  const Model model = make<Wrong>();
  model.compile({.optimizer = "sgd"});
  EXPECT_THAT(error_of([&] { fit(model); }), HasSubstr("scalar"));
  const Model plain = make<Plain>();
  EXPECT_THAT(error_of([&] { plain.model_impl().compute_loss({}); }),
              HasSubstr("compute_loss: got a call outside of a step of fit or evaluate"));
}

}  // namespace
}  // namespace cohort::nn
