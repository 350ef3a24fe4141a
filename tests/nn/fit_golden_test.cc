// fit, evaluate and predict against what Keras recorded for the same data and starting weights.
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using testing::Golden;

Sequential mlp(const Golden& golden, const std::string& last = "") {
  Sequential model({Input({.shape = {6}}), Dense({.units = 5, .activation = "relu"}),
                    Dense({.units = 4, .activation = last})});
  std::vector<Tensor> start;
  for (int i = 0; i < 4; ++i) start.push_back(golden["start/weight" + std::to_string(i)]);
  model.set_weights(start);
  return model;
}

Loss logits_loss() { return SparseCategoricalCrossentropy({.from_logits = true}); }

void expect_logs(const Golden& golden, const std::string& group, const History& history,
                 const Logs& evaluation, double tolerance = 2e-5) {
  std::string names;
  for (const auto& [name, values] : history.history()) {
    names += (names.empty() ? "" : " ") + name;
    const auto want = golden.values<double>(group + "/" + name);
    ASSERT_EQ(values.size(), want.size()) << name;
    for (size_t i = 0; i < want.size(); ++i)
      EXPECT_NEAR(values[i], want[i], tolerance * (1 + std::abs(want[i]))) << name << " " << i;
  }
  EXPECT_EQ(names, golden.text(group + "/logs"));
  names.clear();
  const auto want = golden.values<double>(group + "/evaluate");
  ASSERT_EQ(evaluation.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    names += (names.empty() ? "" : " ") + evaluation.entries()[i].first;
    EXPECT_NEAR(evaluation.entries()[i].second, want[i], tolerance * (1 + std::abs(want[i])));
  }
  EXPECT_EQ(names, golden.text(group + "/evaluate_logs"));
}

void expect_weights(const Golden& golden, const std::string& group, const Model& model) {
  const std::vector<Tensor> weights = model.get_weights();
  for (size_t i = 0; i < weights.size(); ++i)
    expect_near(weights[i], golden[group + "/weight" + std::to_string(i)], 2e-5,
                group + "/weight" + std::to_string(i));
}

struct Case {
  std::string name;
  Optimizer optimizer;
  Loss loss = logits_loss();
  std::string last = "";
  bool one_hot = false;
  bool sample_weight = false;
  ClassWeight class_weight = {};
};

Tensor one_hot(const Tensor& labels) {
  Tensor dense(DType::kF32, Shape{labels.size(0), 4});
  for (int64_t i = 0; i < labels.size(0); ++i)
    dense.data<float>()[i * 4 + labels.data<int32_t>()[i]] = 1;
  return dense;
}

void check(const Case& c) {
  const Golden golden("models");
  const std::string group = "fit/" + c.name;
  const Model model = mlp(golden, c.last);
  CompileOptions compile{.optimizer = c.optimizer, .loss = c.loss, .metrics = {"accuracy"}};
  if (c.sample_weight) compile.weighted_metrics = {"accuracy"};
  model.compile(compile);
  const Tensor x = golden["data/x"], x_val = golden["data/x_val"];
  const Tensor y = c.one_hot ? one_hot(golden["data/y"]) : golden["data/y"];
  const Tensor y_val = c.one_hot ? one_hot(golden["data/y_val"]) : golden["data/y_val"];
  FitOptions options{.batch_size = 4,
                     .epochs = 3,
                     .verbose = 0,
                     .validation_data = {x_val, y_val},
                     .shuffle = false,
                     .class_weight = c.class_weight};
  EvaluateOptions evaluate{.batch_size = 4, .verbose = 0};
  if (c.sample_weight) {
    options.sample_weight = {golden["data/weight"]};
    options.validation_data = {x_val, y_val, golden["data/weight_val"]};
    evaluate.sample_weight = {golden["data/weight_val"]};
  }
  const History history = model.fit(x, y, options);
  expect_logs(golden, group, history, model.evaluate(x_val, y_val, evaluate));
  expect_near(model.predict(x_val, {.verbose = 0}), golden[group + "/predict0"], 2e-5, "predict");
  expect_weights(golden, group, model);
}

TEST(FitGoldenTest, Sgd) { check({.name = "sgd", .optimizer = SGD({.learning_rate = 0.1})}); }
TEST(FitGoldenTest, Adam) { check({.name = "adam", .optimizer = Adam({.learning_rate = 0.05})}); }
TEST(FitGoldenTest, SampleWeight) {
  check({.name = "sgd_sample_weight",
         .optimizer = SGD({.learning_rate = 0.1}),
         .sample_weight = true});
}
TEST(FitGoldenTest, ClassWeight) {
  check({.name = "sgd_class_weight",
         .optimizer = SGD({.learning_rate = 0.1}),
         .class_weight = {{0, 1.0}, {1, 2.0}, {2, 0.5}, {3, 3.0}}});
}
TEST(FitGoldenTest, GradientAccumulation) {
  check({.name = "sgd_accumulation",
         .optimizer = SGD({.learning_rate = 0.1, .gradient_accumulation_steps = 2})});
}
TEST(FitGoldenTest, SoftmaxAndLossByName) {
  check({.name = "softmax_string_loss",
         .optimizer = SGD({.learning_rate = 0.1}),
         .loss = "sparse_categorical_crossentropy",
         .last = "softmax"});
}
TEST(FitGoldenTest, OneHotLabels) {
  check({.name = "softmax_one_hot",
         .optimizer = SGD({.learning_rate = 0.1}),
         .loss = "categorical_crossentropy",
         .last = "softmax",
         .one_hot = true});
}

TEST(FitGoldenTest, TwoOutputsWithLossesWeightsAndMetricsOfTheirOwn) {
  const Golden golden("models");
  const SymbolicTensor features = Input({.shape = {6}, .name = "features"});
  const auto hidden = Dense({.units = 5, .activation = "tanh", .name = "hidden"})(features);
  const Model model({.inputs = {features},
                     .outputs = {Dense({.units = 4, .name = "kind"})(hidden),
                                 Dense({.units = 1, .name = "size"})(hidden)}});
  std::vector<Tensor> start;
  for (int i = 0; i < 6; ++i)
    start.push_back(golden["start_two_outputs/weight" + std::to_string(i)]);
  model.set_weights(start);
  model.compile({.optimizer = SGD({.learning_rate = 0.05}),
                 .loss = {logits_loss(), "mse"},
                 .loss_weights = {1.0, 0.5},
                 .metrics = {{"kind", {"accuracy"}}, {"size", {"mse"}}}});
  const std::vector<Tensor> y{golden["data/y"], golden["data/size"]};
  const std::vector<Tensor> y_val{golden["data/y_val"], golden["data/size_val"]};
  const std::vector<Tensor> x_val{golden["data/x_val"]};
  const History history = model.fit({golden["data/x"]}, y,
                                    {.batch_size = 4,
                                     .epochs = 3,
                                     .verbose = 0,
                                     .validation_data = {x_val, y_val},
                                     .shuffle = false});
  const std::string group = "fit/two_outputs";
  expect_logs(golden, group, history,
              model.evaluate(x_val, y_val, {.batch_size = 4, .verbose = 0}));
  const std::vector<Tensor> predictions = model.predict_all(x_val, {.verbose = 0});
  expect_near(predictions[0], golden[group + "/predict0"], 2e-5, "predict0");
  expect_near(predictions[1], golden[group + "/predict1"], 2e-5, "predict1");
  expect_weights(golden, group, model);
}

TEST(FitGoldenTest, OneBatchAtATime) {
  const Golden golden("models");
  const Model model = mlp(golden);
  model.compile(
      {.optimizer = SGD({.learning_rate = 0.1}), .loss = logits_loss(), .metrics = {"accuracy"}});
  const Tensor x = golden["data/x"], y = golden["data/y"];
  const auto want = golden.values<double>("on_batch/train");
  for (int64_t b = 0; b < 3; ++b) {
    const int64_t end = std::min<int64_t>(4 * b + 4, 11);
    const Logs logs = model.train_on_batch(x.slice(0, 4 * b, end), y.slice(0, 4 * b, end));
    EXPECT_NEAR(logs["loss"], want[static_cast<size_t>(2 * b)], 1e-4);
    EXPECT_NEAR(logs["accuracy"], want[static_cast<size_t>(2 * b + 1)], 1e-6);
  }
  const Logs logs = model.test_on_batch(golden["data/x_val"], golden["data/y_val"]);
  const auto after = golden.values<double>("on_batch/test_after");
  EXPECT_NEAR(logs["loss"], after[0], 1e-4);
  EXPECT_NEAR(logs["accuracy"], after[1], 1e-6);
}

}  // namespace
}  // namespace cohort::nn
