// Metrics that own tensors: what Keras' recorded values do not say.
#include <gmock/gmock.h>

#include <limits>

#include "cohort/cohort.h"
#include "cohort/nn/internal/metric_results.h"
#include "tests/nn/support.h"
#include "tests/support/thread_allocations.h"

namespace cohort::nn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Tensor column(std::vector<float> values) {
  const auto rows = static_cast<int64_t>(values.size());
  return Tensor::from(values, Shape{rows, 1});
}

/// Adds y_pred's sum to an i64 state and its rows to an f64 one; results are named.
class Tally : public MetricImpl {
 public:
  explicit Tally(DType dtype = DType::kI64) : MetricImpl("tally") {
    add_state("sum", {}, dtype);
    add_state("rows");
  }
  std::vector<Value> contributions(const MetricArgs& args) const override {
    return {ops::reduce_sum(ops::cast(args.y_pred, DType::kI32)), ops::num_rows(args.y_pred)};
  }
  Value result(std::span<const Value> states) const override {
    return ops::concat(
        {ops::reshape(ops::cast(states[0], DType::kF64), {1}), ops::reshape(states[1], {1})}, 0);
  }
  std::vector<std::string> result_names(int64_t) const override { return {"sum_of_all", "rows"}; }
};

TEST(MetricsTest, SumsGoOnPastWhatAFloatHolds) {
  const Metric sum = Sum{};
  const Metric mean = Mean{};
  for (const float value : {16777216.f, 1.f, 1.f}) {
    sum.update_state(column({value}));
    mean.update_state(column({value}));
  }
  EXPECT_EQ(sum.result(), 16777218);
  EXPECT_EQ(mean.result(), 16777218.0 / 3);
}

TEST(MetricsTest, IntegersAreNotRounded) {
  const Metric sum = Sum{};
  sum.update_state(Tensor::from<int32_t>({16777217, 2}));
  EXPECT_EQ(sum.result(), 16777219);
}

TEST(MetricsTest, CountsOfAllReplicasGoOnPastWhatAnI32Holds) {
  const auto strategy = distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
  const Metric tally = make<Tally>();
  const Function step([&](std::span<const Value> in) {
    tally.update_state(in[0]);
    return std::vector<Value>();
  });
  const int32_t large = (1 << 30) + 1;
  for (int i = 0; i < 4; ++i)
    strategy.run(step, {strategy.distribute_values_from_function([&](int r) {
                   return Tensor::from<int32_t>({large, r});
                 })});
  EXPECT_THAT(tally.results(), ElementsAre(8.0 * large + 4, 16));
  EXPECT_EQ(tally.variables()[0].value().item<int64_t>(), 8 * int64_t{large} + 4);
}

Model logistic(const distribute::Strategy& strategy, const CompileOptions& options) {
  return strategy.scope([&] {
    const Model model =
        Sequential({Input({.shape = {2}}), Dense({.units = 2, .activation = "sigmoid"})});
    model.set_weights(
        {Tensor::from<float>({1, -2, 0.5, 1}, {2, 2}), Tensor::from<float>({0, 0.25})});
    model.compile(options);
    return model;
  });
}

struct Examples {
  Tensor x{DType::kF32, {23, 2}}, y{DType::kF32, {23, 2}}, weights{DType::kF32, {23}};
  Examples() {
    for (int64_t i = 0; i < 46; ++i) {
      x.data<float>()[i] = static_cast<float>(i * 7 % 11) / 5 - 1;
      y.data<float>()[i] = i * 5 % 7 < 3 ? 1 : 0;
    }
    for (int64_t i = 0; i < 23; ++i) weights.data<float>()[i] = static_cast<float>(i % 3);
  }
};

TEST(MetricsTest, EvaluateOnReplicasEqualsUpdatesByHand) {
  const Examples of;
  const auto all = [] {
    return std::vector<Metric>{Precision({.thresholds = {0.3, 0.6}}), Recall(), AUC(),
                               F1Score({.threshold = 0.5}), RootMeanSquaredError()};
  };
  for (const int replicas : {1, 2, 3}) {
    std::vector<std::string> devices;
    for (int i = 0; i < replicas; ++i) devices.push_back("cpu:" + std::to_string(i));
    const std::vector<Metric> plain = all(), weighted = all();
    const Model model =
        logistic(distribute::MirroredStrategy({.devices = devices}),
                 {.optimizer = "sgd",
                  .loss = "bce",
                  .metrics = MetricSpecs::List(plain.begin(), plain.end()),
                  .weighted_metrics = MetricSpecs::List(weighted.begin(), weighted.end())});
    const Logs logs =
        model.evaluate(of.x, of.y, {.batch_size = 8, .verbose = 0, .sample_weight = {of.weights}});
    const Tensor predicted = model.predict(of.x, {.verbose = 0});
    for (const bool with_weights : {false, true}) {
      std::vector<double> got, want;
      for (const Metric& metric : all()) {
        metric.update_state(of.y, predicted, with_weights ? of.weights : Tensor());
        for (const double value : metric.results()) want.push_back(value);
      }
      const std::string prefix = with_weights ? "weighted_" : "";
      for (const char* name : {"precision_0", "precision_1", "recall", "auc", "f1_score_0",
                               "f1_score_1", "root_mean_squared_error"})
        got.push_back(logs[prefix + name]);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_NEAR(got[i], want[i], 1e-6) << replicas << " replicas, value " << i;
    }
  }
}

TEST(MetricsTest, FitLogsEveryValueOfAResultByItsName) {
  const Examples of;
  const Model model = logistic(
      distribute::current_strategy(),
      {.optimizer = "sgd", .loss = "mse", .metrics = {make<Tally>(), F1Score(), "precision"}});
  const History history =
      model.fit(of.x, of.y,
                {.batch_size = 8,
                 .epochs = 2,
                 .verbose = 0,
                 .validation_data = {of.x.slice(0, 0, 8), of.y.slice(0, 0, 8)}});
  std::vector<std::string> names;
  for (const auto& [name, value] : model.evaluate(of.x, of.y, {.verbose = 0}))
    names.push_back(name);
  EXPECT_THAT(names,
              ElementsAre("f1_score_0", "f1_score_1", "loss", "precision", "rows", "sum_of_all"));
  EXPECT_THAT(history["rows"], ElementsAre(23, 23)) << "each epoch begins at 0";
  EXPECT_THAT(history["val_rows"], ElementsAre(8, 8));
}

/// What is counted in between is put aside and taken up again: states of several dtypes and shapes.
TEST(MetricsTest, ARunInsideAnotherHasStatesOfItsOwn) {
  const Examples of;
  const Model model = logistic(distribute::current_strategy(),
                               {.optimizer = SGD({.learning_rate = 0.0}),
                                .loss = "mse",
                                .metrics = {make<Tally>(), AUC({.multi_label = true})}});
  const History alone = model.fit(of.x, of.y, {.batch_size = 8, .verbose = 0});
  const Callback evaluates = LambdaCallback({.on_train_batch_end = [&](int64_t, const Logs&) {
    model.evaluate(of.x.slice(0, 0, 5), of.y.slice(0, 0, 5), {.verbose = 0});
  }});
  const History around =
      model.fit(of.x, of.y, {.batch_size = 8, .verbose = 0, .callbacks = {evaluates}});
  for (const char* name : {"rows", "sum_of_all", "auc", "loss"})
    EXPECT_EQ(around[name], alone[name]) << name;
}

TEST(MetricsTest, LookingAtResultsAllocatesNothing) {
  const Metric auc = AUC{};
  const Metric mean = Mean{};
  auc.update_state(column({1, 0}), column({0.75, 0.25}));
  mean.update_state(column({3}));
  internal::MetricResults results({&auc.impl(), &mean.impl()});
  std::vector<double> seen(2);
  const auto look = [&] {
    results.read(nullptr, [&](std::span<const double> values) {
      std::copy(values.begin(), values.end(), seen.begin());
    });
  };
  look();
  const int64_t before = test::thread_allocations();
  for (int i = 0; i < 10; ++i) look();
  EXPECT_EQ(test::thread_allocations() - before, 0);
  EXPECT_THAT(seen, ElementsAre(1, 3));
}

TEST(MetricsTest, APredictionThatIsNoNumberLiesAboveNoThreshold) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor y_true = column({1, 0, 1, 0}), y_pred = column({nan, nan, 0.9f, 0.1f});
  const Metric precision = Precision{.thresholds = {0, 0.5, 1}};
  const Metric recall = Recall{};
  const Metric auc = AUC{.num_thresholds = 3};
  for (const Metric& metric : {Metric(precision), Metric(recall), Metric(auc)})
    metric.update_state(y_true, y_pred);
  EXPECT_THAT(precision.results(), ElementsAre(0.5, 1, 0));
  EXPECT_EQ(recall.result(), 0.5);
  EXPECT_EQ(auc.variables()[2].value().item<double>(), 2) << "positives";
}

TEST(MetricsTest, AStateMustBeOfNumbersAndHaveAName) {
  struct Bad : MetricImpl {
    Bad(const Shape& shape, DType dtype) : MetricImpl("bad") {
      add_state("hits", shape, dtype);
      add_state("hits");
    }
    std::vector<Value> contributions(const MetricArgs&) const override { return {}; }
    Value result(std::span<const Value> states) const override { return states[0]; }
  };
  EXPECT_THAT(error_of([] { make<Bad>(Shape{}, DType::kBool); }),
              HasSubstr("bad: got state hits of bool; want an integer or floating dtype"));
  EXPECT_THAT(error_of([] { make<Bad>(Shape{batch_dim()}, DType::kF64); }),
              HasSubstr("bad: got state hits [N]; want numbers in every dimension"));
  EXPECT_THAT(error_of([] { make<Bad>(Shape{}, DType::kF64); }),
              HasSubstr("bad: got state hits twice"));
}

TEST(MetricsTest, ContributionsMustFitTheirStates) {
  struct Gives : MetricImpl {
    explicit Gives(std::function<std::vector<Value>(Value)> make)
        : MetricImpl("gives"), make(std::move(make)) {
      add_state("hits", {}, DType::kI64);
    }
    std::vector<Value> contributions(const MetricArgs& args) const override {
      return make(args.y_pred);
    }
    Value result(std::span<const Value> states) const override { return states[0]; }
    std::function<std::vector<Value>(Value)> make;
  };
  const auto error = [](std::function<std::vector<Value>(Value)> contributions) {
    return error_of([&] { make<Gives>(std::move(contributions)).update_state(column({1, 2, 3})); });
  };
  EXPECT_THAT(error([](Value) { return std::vector<Value>(); }),
              HasSubstr("gives: got 0 contributions to 1 states; want one for each"));
  EXPECT_THAT(error([](Value x) { return std::vector<Value>{ops::cast(x, DType::kI32)}; }),
              HasSubstr("gives: got a contribution [3, 1] to state hits []"));
  EXPECT_THAT(error([](Value x) { return std::vector<Value>{ops::reduce_sum(x)}; }),
              HasSubstr("got a contribution of float32 to state hits of int64; want integers"));
}

TEST(MetricsTest, ResultsAreAskedForAsTheyAre) {
  const Metric f1 = F1Score{};
  EXPECT_THAT(error_of([&] { f1.result(); }), HasSubstr("f1_score: got result() before an update"));
  f1.update_state(Tensor::from<float>({1, 0}, {1, 2}), Tensor::from<float>({0.9f, 0.1f}, {1, 2}));
  EXPECT_THAT(error_of([&] { f1.result(); }),
              HasSubstr("f1_score: got 2 values; want one: use results() for several"));
  EXPECT_NEAR(f1.results()[0], 1, 1e-6);
  EXPECT_EQ(f1.results()[1], 0);
  EXPECT_THAT(error_of([&] {
                f1.update_state(Tensor::from<float>({1, 0, 0}, {1, 3}),
                                Tensor::from<float>({0.9f, 0.1f, 0}, {1, 3}));
              }),
              HasSubstr("f1_score: got a contribution [3] to state true_positives [2]"));
}

TEST(MetricsTest, ArgumentsAreChecked) {
  const auto expect = [](const std::string& message, auto&& body) {
    EXPECT_THAT(error_of(body), HasSubstr(message));
  };
  expect("precision: got threshold 1.5; want 0 to 1",
         [] { Metric(Precision({.thresholds = {1.5}})); });
  expect("recall: got top_k 0; want 1 or more", [] { Metric(Recall({.top_k = 0})); });
  expect("auc: curve", [] { Metric(AUC({.curve = "ROCK"})); });
  expect("auc: got num_thresholds 1; want 2 or more", [] { Metric(AUC({.num_thresholds = 1})); });
  expect("auc: got num_labels 3 without multi_label", [] { Metric(AUC({.num_labels = 3})); });
  expect("f1_score: average", [] { Metric(F1Score({.average = "all"})); });
  expect("f1_score: got threshold 0", [] { Metric(F1Score({.threshold = 0})); });
  expect("mean_io_u: got num_classes 0", [] { Metric(MeanIoU({.num_classes = 0})); });
  expect("top_k_categorical_accuracy: got k 0", [] { Metric(TopKCategoricalAccuracy({.k = 0})); });

  const Tensor labels = Tensor::from<float>({1, 0, 0, 1}, {2, 2});
  expect("precision: got top_k 3 for predictions [2, 2]",
         [&] { Metric(Precision({.top_k = 3})).update_state(labels, labels); });
  expect("recall: got class_id 2 for predictions [2, 2]",
         [&] { Metric(Recall({.class_id = 2})).update_state(labels, labels); });
  expect("precision: got labels [2, 2] for predictions [4, 1]", [&] {
    Metric(Precision()).update_state(labels, column({1, 0, 0, 1}));
  });
  expect("auc: got 3 label_weights for labels [2, 2]", [&] {
    Metric(AUC({.label_weights = {1, 1, 1}})).update_state(labels, labels);
  });
  expect("auc: got predictions [2, 2]; want [N, 3]",
         [&] { Metric(AUC({.multi_label = true, .num_labels = 3})).update_state(labels, labels); });
  expect("got weights [3]", [&] {
    Metric(Precision()).update_state(labels, labels, Tensor::from<float>({1, 1, 1}));
  });
}

TEST(MetricsTest, KnownByTheNamesOfKeras) {
  for (const char* name :
       {"precision", "Precision", "recall", "auc", "AUC", "f1_score", "F1Score", "mae", "MAE",
        "mean_absolute_error", "root_mean_squared_error", "RootMeanSquaredError",
        "top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy", "true_positives"})
    EXPECT_EQ(make_metric(name, {4, 2}, {4, 2}).name(), name);
}

}  // namespace
}  // namespace cohort::nn
