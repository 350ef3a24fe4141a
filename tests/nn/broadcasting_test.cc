// Numbers that would be wrong without a word. Shapes of different rank never meet from the back:
// weights count from the front, and what does not fit is refused instead of comparing every row
// with every other. Integers are not cut off.
#include <gmock/gmock.h>

#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Tensor column(std::vector<float> values) {
  const auto rows = static_cast<int64_t>(values.size());
  return Tensor::from(values, Shape{rows, 1});
}

double value_of(const Loss& loss, const Tensor& y_true, const Tensor& y_pred,
                const Tensor& weight = {}) {
  std::vector<Tensor> arguments{y_true, y_pred};
  if (weight.defined()) arguments.push_back(weight);
  return run(
             [&](std::span<const Value> in) {
               return std::vector<Value>{loss(in[0], in[1], in.size() > 2 ? in[2] : Value())};
             },
             arguments)[0]
      .item<double>();
}

TEST(BroadcastingTest, RowsWeighLossesOfRank3OnAnyNumberOfReplicas) {
  // y = √1 … √4, predictions 0, weights 1, 0, 0, 0: the sum of squares is 1.
  const Tensor y = Tensor::from<float>({1, std::sqrt(2.0f), std::sqrt(3.0f), 2}, {4, 1, 1, 1});
  for (const std::vector<std::string>& devices :
       {std::vector<std::string>{"cpu:0"}, {"cpu:0", "cpu:1"}}) {
    const Sequential model = distribute::MirroredStrategy({.devices = devices}).scope([] {
      return Sequential({Input({.shape = {1, 1, 1}}),
                         Dense({.units = 1, .use_bias = false, .kernel_initializer = "zeros"})});
    });
    model.compile({.optimizer = "sgd", .loss = MeanSquaredError({.reduction = "sum"})});
    const EvaluateOptions options{.verbose = 0,
                                  .sample_weight = {Tensor::from<float>({1, 0, 0, 0}, {4})}};
    EXPECT_NEAR(model.evaluate(Tensor(DType::kF32, {4, 1, 1, 1}), y, options)["loss"], 1, 1e-6);
  }
}

TEST(BroadcastingTest, WeightsOfStepsAndOfElements) {
  // Squares of [2, 2] and a weight for each; per row 2 and 3, per element 2, 0, 1, 3.
  const Tensor y = Tensor::from<float>({1, 2, 3, 4}, {2, 2, 1}), p(DType::kF32, {2, 2, 1});
  const Loss sum = MeanSquaredError({.reduction = "sum"});
  EXPECT_NEAR(value_of(sum, y, p, Tensor::from<float>({2, 3}, {2})), 2 * 5 + 3 * 25, 1e-4);
  EXPECT_NEAR(value_of(sum, y, p, Tensor::from<float>({2, 3}, {2, 1})), 2 * 5 + 3 * 25, 1e-4);
  const Tensor elements = Tensor::from<float>({2, 0, 1, 3}, {2, 2});
  EXPECT_NEAR(value_of(sum, y, p, elements), 2 * 1 + 9 + 3 * 16, 1e-4);
  // As in Keras the divisor is the sum of the weights as they were given.
  const Loss mean = MeanSquaredError({.reduction = "mean_with_sample_weight"});
  EXPECT_NEAR(value_of(mean, y, p, Tensor::from<float>({2, 3}, {2})), 85.0 / 5, 1e-5);
}

TEST(BroadcastingTest, WeightsThatDoNotFitAreRefused) {
  const Loss mse = "mse";
  const auto error = [&](const Tensor& weight) {
    return error_of([&] {
      value_of(mse, Tensor(DType::kF32, {4, 2, 3}), Tensor(DType::kF32, {4, 2, 3}), weight);
    });
  };
  EXPECT_THAT(error(Tensor(DType::kF32, {4, 3})),
              AllOf(HasSubstr("mean_squared_error: got weights [4, 3] for losses [4, 2]"),
                    HasSubstr("from the front")));
  EXPECT_THAT(error(Tensor(DType::kF32, {4, 2, 2})), HasSubstr("[4, 2, 2]"));
  EXPECT_THAT(error(Tensor(DType::kF32, {4, 1, 1, 1})), HasSubstr("[4, 1, 1, 1]"));
  EXPECT_THAT(error_of([] {
                Metric(Mean{}).update_state(Tensor(), Tensor(DType::kF32, {3, 2}),
                                            Tensor(DType::kF32, {3, 4}));
              }),
              HasSubstr("got weights [3, 4] for values [3, 2]"));
  EXPECT_THAT(
      error_of([] {
        run(
            [](std::span<const Value> in) {
              return std::vector<Value>{compute_average_loss(in[0], {.sample_weight = in[1]})};
            },
            {Tensor(DType::kF32, {3, 2}), Tensor(DType::kF32, {3, 4})});
      }),
      HasSubstr("got weights [3, 4] for losses [3, 2]"));
}

TEST(BroadcastingTest, AverageLossWeighsRowsFromTheFront) {
  const auto average = run(
      [](std::span<const Value> in) {
        return std::vector<Value>{compute_average_loss(in[0], {.sample_weight = in[1]})};
      },
      {Tensor::from<float>({1, 2, 3, 4}, {2, 1, 2}), Tensor::from<float>({2, 3}, {2})});
  EXPECT_NEAR(average[0].item<double>(), (2 * 3 + 3 * 7) / 2.0, 1e-6);
}

TEST(BroadcastingTest, FunctionsGetLabelsAndPredictionsOfOneRank) {
  const Loss absolute([](Value y, Value p) { return ops::reduce_mean(ops::abs(y - p), {{-1}}); },
                      "absolute");
  // [1, 5] against [2, 3]: (1 + 2) / 2. Every label with every prediction would be 2.
  EXPECT_NEAR(value_of(absolute, Tensor::from<float>({1, 5}, {2}), column({2, 3})), 1.5, 1e-6);
}

TEST(BroadcastingTest, LossesOfEveryRowWithEveryOtherAreRefused) {
  const Loss pairs([](Value y, Value p) { return ops::abs(y - ops::reduce_sum(p, {{-1}})); },
                   "pairs");
  const auto error = [&](CompileOptions options) {
    const Sequential model({Input({.shape = {1}}), Dense({.units = 1})});
    options.optimizer = "sgd";
    model.compile(options);
    return error_of([&] { model.train_on_batch(column({1, 5}), column({2, 3})); });
  };
  EXPECT_THAT(error({.loss = pairs}),
              AllOf(HasSubstr("pairs: got losses [N, N]"), HasSubstr("axis 0 alone")));
  EXPECT_THAT(error({.loss = "mse", .metrics = {metrics::MeanOfLoss{.loss = pairs}}}),
              HasSubstr("got values [N, N]"));
}

TEST(BroadcastingTest, MetricsRefuseLabelsOfAnotherRank) {
  const auto error = [](const Metric& metric, Shape labels, Shape predictions) {
    return error_of([&] {
      metric.update_state(Tensor(DType::kF32, labels), Tensor(DType::kF32, predictions));
    });
  };
  EXPECT_THAT(error(Accuracy(), {4}, {4, 1, 1}), HasSubstr("accuracy: got labels [4] for"));
  EXPECT_THAT(error(BinaryAccuracy(), {4}, {4, 1, 1}), HasSubstr("binary_accuracy: got labels"));
  EXPECT_THAT(error(CategoricalAccuracy(), {4, 3}, {4, 1, 3}), HasSubstr("[4, 1, 3]"));
  EXPECT_THAT(error(SparseCategoricalAccuracy(), {4}, {4, 1, 3}), HasSubstr("[4, 1, 3]"));
}

// --- integers ----------------------------------------------------------------------------------

TEST(IntegersTest, LossesOfIntegersAreNotCutOff) {
  const Tensor y = Tensor::from<int32_t>({0, 0, 0}, {3, 1});
  const Tensor p = Tensor::from<int32_t>({1, 1, 0}, {3, 1});
  EXPECT_NEAR(value_of("mse", y, p), 2.0 / 3, 1e-6);
  const Loss absolute(
      [](Value t, Value q) {
        return ops::cast(ops::reduce_sum(ops::abs(t - q), {{-1}}), DType::kI32);
      },
      "absolute");
  EXPECT_NEAR(value_of(absolute, y.cast(DType::kF32), p), 2.0 / 3, 1e-6);
  EXPECT_NEAR(value_of(absolute, y.cast(DType::kF32), p, Tensor::from<float>({0.5f, 0, 1}, {3})),
              0.5 / 3, 1e-6);
}

TEST(IntegersTest, AverageLossesOfIntegersAreDoubles) {
  const auto results = run(
      [](std::span<const Value> in) {
        return std::vector<Value>{compute_average_loss(in[0], {.sample_weight = in[1]}),
                                  scale_regularization_loss(in[0])};
      },
      {Tensor::from<int32_t>({1, 2}, {2}), Tensor::from<float>({0.5f, 1}, {2})});
  EXPECT_EQ(results[0].dtype(), DType::kF64);
  EXPECT_EQ(results[0].item<double>(), 1.25);
  EXPECT_EQ(results[1].item<double>(), 3);
}

TEST(IntegersTest, MetricsCompareIntegersWithFloatsAsFloats) {
  const Metric accuracy = Accuracy{};
  accuracy.update_state(Tensor::from<float>({0.7f, 1}, {2, 1}),
                        Tensor::from<int32_t>({0, 1}, {2, 1}));
  EXPECT_EQ(accuracy.result(), 0.5);
  const Metric binary = BinaryAccuracy{.threshold = 0.7};
  binary.update_state(column({0, 1}), Tensor::from<int32_t>({0, 1}, {2, 1}));
  EXPECT_EQ(binary.result(), 1);
  const Metric sparse = SparseCategoricalAccuracy{};
  sparse.update_state(Tensor::from<float>({1.5f, 1}, {2}),
                      Tensor::from<float>({0, 1, 0, 1}, {2, 2}));
  EXPECT_EQ(sparse.result(), 0.5);
  const Metric mse = metrics::MeanOfLoss{.loss = "mse"};
  mse.update_state(Tensor::from<int32_t>({0, 0}, {2, 1}), Tensor::from<int32_t>({1, 0}, {2, 1}));
  EXPECT_EQ(mse.result(), 0.5);
}

TEST(MetricTest, OneMetricObjectServesOneOutput) {
  const auto x = Input({.shape = {1}});
  const Model model(
      {.inputs = {x},
       .outputs = {Dense({.units = 1, .name = "p"})(x), Dense({.units = 1, .name = "q"})(x)}});
  const Metric shared = BinaryAccuracy{};
  model.compile({.optimizer = "sgd", .loss = "mse", .metrics = {{"p", {shared}}, {"q", {shared}}}});
  EXPECT_THAT(error_of([&] {
                model.evaluate({column({1})}, {column({1}), column({1})}, {.verbose = 0});
              }),
              HasSubstr("got metric binary_accuracy twice"));
}

}  // namespace
}  // namespace cohort::nn
