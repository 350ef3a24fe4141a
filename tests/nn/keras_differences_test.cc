// Small things that Keras 3.15 takes, each as it takes them. Where no computation is given, the
// numbers were seen in Keras 3.15.1.
#include <gmock/gmock.h>

#include "cohort/core/graph/gradients.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using ::testing::HasSubstr;

Tensor as_column(const std::vector<float>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size()), 1});
}

std::vector<std::string> names_of(const History& history) {
  std::vector<std::string> names;
  for (const auto& [name, values] : history.history()) names.push_back(name);
  return names;
}

std::vector<double> initial(const Initializer& initializer, const Shape& shape) {
  return numbers(initializer(shape, DType::kF32, {.seed = 5, .path = "a/kernel"}));
}

TEST(KerasNamesTest, ClassesAndCapitals) {
  const Shape shape{4, 3};
  const std::pair<const char*, const char*> same[] = {{"GlorotUniform", "glorot_uniform"},
                                                      {"HeNormal", "he_normal"},
                                                      {"Orthogonal", "orthogonal"},
                                                      {"Zeros", "zeros"},
                                                      {"zero", "zeros"},
                                                      {"one", "ones"}};
  for (const auto& [name, plain] : same) EXPECT_EQ(initial(name, shape), initial(plain, shape));
  EXPECT_EQ(initial("identity", {2, 3}), (std::vector<double>{1, 0, 0, 0, 1, 0}));
  EXPECT_EQ(initial(initializers::Identity({.gain = 2}), {3, 2}),
            (std::vector<double>{2, 0, 0, 2, 0, 0}));
  EXPECT_THAT(error_of([] { initial("identity", {3}); }), HasSubstr("rank 2"));

  EXPECT_EQ(Loss("MSE").name(), "mean_squared_error");
  EXPECT_EQ(Loss("BCE").name(), "binary_crossentropy");
  EXPECT_EQ(Loss("BinaryCrossentropy").name(), "binary_crossentropy");
  EXPECT_EQ(Optimizer("ADAM")->name(), "adam");
  EXPECT_EQ(Optimizer("Sgd")->name(), "SGD");
  EXPECT_TRUE(Regularizer("L1L2").defined());
  EXPECT_EQ(make_metric("ACC", {1}, {1}).name(), "ACC");
  EXPECT_EQ(make_metric("MSE", {1}, {1}).name(), "MSE");
  EXPECT_EQ(make_metric("BinaryAccuracy", {1}, {1}).name(), "BinaryAccuracy");
  EXPECT_THAT(error_of([] { Initializer("Glorot_Uniform"); }), HasSubstr("glorot_uniform"));
}

TEST(KerasNamesTest, WeightedMetricsThatShareANameWithAPlainOne) {
  const Sequential one({Input({.shape = {1}}), Dense({.units = 1})});
  one.compile({.optimizer = "sgd",
               .loss = "mse",
               .metrics = {"mse", "mse"},
               .weighted_metrics = {"mse", "mse"}});
  EXPECT_EQ(names_of(one.fit(as_column({1}), as_column({1}), {.verbose = 0})),
            (std::vector<std::string>{"loss", "mse", "mse_1", "weighted_mse", "weighted_mse_1"}));

  const auto x = Input({.shape = {1}});
  const Model two({.inputs = {x},
                   .outputs = {Dense({.units = 1, .name = "kind"})(x),
                               Dense({.units = 1, .activation = "sigmoid", .name = "size"})(x)}});
  two.compile({.optimizer = "sgd",
               .loss = "mse",
               .metrics = {{"kind", {"mse"}}, {"size", {"bce"}}},
               .weighted_metrics = {{"kind", {"mse"}}, {"size", {"mse"}}}});
  EXPECT_EQ(names_of(two.fit({as_column({1})}, {as_column({1}), as_column({1})}, {.verbose = 0})),
            (std::vector<std::string>{"kind_loss", "kind_mse", "kind_weighted_mse", "loss",
                                      "size_bce", "size_loss", "size_mse"}));
}

TEST(OutputNamesTest, OutputsOfOneLayerAreNumbered) {
  const auto x = Input({.shape = {1}}), y = Input({.shape = {1}});
  const Layer d = Dense{.units = 1, .use_bias = false, .kernel_initializer = "ones", .name = "d"};
  const Model model({.inputs = {x, y}, .outputs = {d(x), d(y)}});
  EXPECT_EQ(model.output_names(), (std::vector<std::string>{"d", "d_1"}));
  model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = {{"d_1", "mse"}, {"d", "mse"}}});
  const History history = model.fit({as_column({1}), as_column({2})},
                                    {as_column({0}), as_column({0})}, {.epochs = 3, .verbose = 0});
  EXPECT_EQ(names_of(history), (std::vector<std::string>{"d_1_loss", "d_loss", "loss"}));
  EXPECT_EQ(history["d_loss"], (std::vector<double>{1, 1, 1}));
  EXPECT_EQ(history["d_1_loss"], (std::vector<double>{4, 4, 4}));
}

TEST(OutputNamesTest, ALayerKeepsItsNameWhereAnotherIsNumbered) {
  const auto x = Input({.shape = {1}});
  const Layer d = Dense{.units = 1, .name = "d"}, d_1 = Dense{.units = 1, .name = "d_1"};
  EXPECT_EQ(Model({.inputs = {x}, .outputs = {d(x), d(x), d_1(x), d(x)}}).output_names(),
            (std::vector<std::string>{"d", "d_2", "d_1", "d_3"}));
}

TEST(OutputNamesTest, OfAModelOfTheUsersMustDiffer) {
  struct Twice : ModelImpl {
    Twice() : ModelImpl("Twice") {}
    std::vector<std::string> output_names() const override { return {"out", "out"}; }
    std::vector<Value> call(const CallArgs& args) override {
      return {head(args.input()), head(args.input())};
    }
    Layer head = child("head", Dense({.units = 1}));
  };
  const Model model = make<Twice>();
  model.compile({.optimizer = "sgd", .loss = "mse"});
  EXPECT_THAT(error_of([&] {
                model.fit({as_column({1})}, {as_column({1}), as_column({1})}, {.verbose = 0});
              }),
              HasSubstr("got output_names out, out for 2 outputs"));
}

TEST(ClassWeightTest, ClassesThatAreNotNamedWeighOne) {
  // Logits of 0 for two classes: every row's loss is log 2. The ignored row counts nowhere.
  const auto loss = [](ClassWeight weights) {
    const Sequential model(
        {Input({.shape = {1}}), Dense({.units = 2, .kernel_initializer = "zeros"})});
    model.compile(
        {.optimizer = SGD({.learning_rate = 0}),
         .loss = SparseCategoricalCrossentropy({.from_logits = true, .ignore_class = 255})});
    return model.fit(as_column({1, 1}), Tensor::from<uint8_t>({0, 255}, {2}),
                     {.verbose = 0, .class_weight = weights})["loss"][0];
  };
  EXPECT_NEAR(loss({{0, 1}, {1, 2}}), std::log(2), 1e-6);
  EXPECT_NEAR(loss({{0, 3}}), 3 * std::log(2), 1e-6);
  EXPECT_NEAR(loss({{255, 7}}), std::log(2), 1e-6);
}

TEST(ClassWeightTest, LabelsOfEveryPositionAreClassNumbers) {
  // Predictions [N, 3, 2]: uniform, so each of three positions loses log 2; weights 1, 4, 4 by
  // label.
  const Sequential model({Input({.shape = {3}}), Reshape({.target_shape = {3, 1}}),
                          Dense({.units = 2, .kernel_initializer = "zeros"})});
  model.compile({.optimizer = SGD({.learning_rate = 0}),
                 .loss = SparseCategoricalCrossentropy({.from_logits = true})});
  const History history =
      model.fit(Tensor(DType::kF32, {1, 3}), Tensor::from<int32_t>({0, 1, 1}, {1, 3}),
                {.verbose = 0, .class_weight = {{1, 4}}});
  EXPECT_NEAR(history["loss"][0], (1 + 4 + 4) * std::log(2) / 3, 1e-6);
}

TEST(ClassWeightTest, FloatingLabelsAreRounded) {
  const Sequential model(
      {Input({.shape = {1}}), Dense({.units = 1, .kernel_initializer = "ones"})});
  model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse"});
  // Labels 0.9, 0.4 are classes 1 and 0: (3 * 0.1^2 + 0.6^2) / 2.
  EXPECT_NEAR(model.fit(as_column({1, 1}), as_column({0.9f, 0.4f}),
                        {.verbose = 0, .class_weight = {{1, 3}}})["loss"][0],
              (3 * 0.01 + 0.36) / 2, 1e-6);
}

TEST(TrainingWithoutWeightsTest, ChangesStatisticsAndSaysSo) {
  const Sequential model(
      {Input({.shape = {1}}), BatchNormalization({.center = false, .scale = false})});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  ::testing::internal::CaptureStderr();
  const History history = model.fit(as_column({1, 3}), as_column({0, 0}), {.verbose = 0});
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("no trainable weight"));
  // Rows normalise to -+1 / sqrt(1 + 0.001); mean 2 and variance 1 move by a hundredth.
  EXPECT_NEAR(history["loss"][0], 0.9990009, 1e-6);
  EXPECT_NEAR(model.get_weights()[0].item<double>(), 0.02, 1e-6);
  EXPECT_NEAR(model.get_weights()[1].item<double>(), 1, 1e-6);
  EXPECT_EQ(model.optimizer().iterations(), 0);
}

TEST(BroadcastingTest, AddMeetsItsInputsRowByRow) {
  const auto a = Tensor::from<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  const auto add = [](const Tensor& x, const Tensor& y) {
    return run(
        [](std::span<const Value> in) {
          return std::vector<Value>{Layer(Add{})({in[0], in[1]})};
        },
        {x, y})[0];
  };
  expect_near(add(a, Tensor::from<float>({0, 3}, {2, 1})),
              Tensor::from<float>({0, 1, 2, 6, 7, 8}, {2, 3}), 0, "[2, 3] + [2, 1]");
  // Row 0: [0, 1, 2] + [[0], [10]]; row 1: [3, 4, 5] + [[20], [30]].
  expect_near(add(a, Tensor::from<float>({0, 10, 20, 30}, {2, 2, 1})),
              Tensor::from<float>({0, 1, 2, 10, 11, 12, 23, 24, 25, 33, 34, 35}, {2, 2, 3}), 0,
              "[2, 3] + [2, 2, 1]");
}

TEST(BroadcastingTest, LabelsOfMeanSquaredError) {
  const Sequential model({Input({.shape = {1}}),
                          Dense({.units = 2, .use_bias = false, .kernel_initializer = "ones"})});
  model.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse"});
  // Predictions [1, 1], [2, 2], labels 1 and 0: the loss is (0 + 4) / 2, its gradient 2 for each
  // weight: 2 * 2 * 2 / 4.
  EXPECT_NEAR(model.fit(as_column({1, 2}), as_column({1, 0}), {.verbose = 0})["loss"][0], 2, 1e-6);
  for (const double w : numbers(model.get_weights()[0])) EXPECT_NEAR(w, 0.8, 1e-6);
  EXPECT_THAT(error_of([&] {
                model.fit(as_column({1, 2}), Tensor(DType::kF32, {2, 3}), {.verbose = 0});
              }),
              HasSubstr("got labels [N, 3] for predictions [N, 2]"));
}

TEST(OptimizerIterationsTest, CountUpdatesWhereGradientsAreAccumulated) {
  const Sequential model({Input({.shape = {1}}), Dense({.units = 1})});
  const Optimizer sgd = SGD({.gradient_accumulation_steps = 2});
  model.compile({.optimizer = sgd, .loss = "mse"});
  model.fit(Tensor(DType::kF32, {5, 1}), Tensor(DType::kF32, {5, 1}),
            {.batch_size = 1, .verbose = 0});
  EXPECT_EQ(sgd.iterations(), 2);
  EXPECT_EQ(sgd->batches_seen(), 5);
}

}  // namespace
}  // namespace cohort::nn
