// What compile() fixes: a step that is traced later is that of the model as it was compiled.
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/math.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

Tensor column_of(std::vector<float> values) {
  const auto rows = static_cast<int64_t>(values.size());
  return Tensor::from(values, Shape{rows, 1});
}

Loss prediction() {
  return Loss([](Value, Value p) { return ops::squeeze(p, -1); }, "prediction");
}

Dense line(double start, Regularizer penalty = {}) {
  return Dense({.units = 1,
                .use_bias = false,
                .kernel_initializer = initializers::Constant({.value = start}),
                .kernel_regularizer = std::move(penalty)});
}

double weight(const Layer& layer, size_t i = 0) { return layer.get_weights()[i].item<double>(); }

TEST(CompiledModelTest, AdversariesTrainInTurnAsTheyWereCompiled) {
  // d(x) = d x is compiled to train; then it is frozen for d(g(z)) = d g z. Both minimise what d
  // says, at rate 0.5 and for inputs of 1: d loses 0.5, then g loses 0.5 d.
  const Sequential g({Input({.shape = {1}}), line(1)}), d({Input({.shape = {1}}), line(3)});
  d.compile({.optimizer = SGD({.learning_rate = 0.5}), .loss = prediction()});
  d.set_trainable(false);
  const Sequential gan({g, d});
  gan.compile({.optimizer = SGD({.learning_rate = 0.5}), .loss = prediction()});
  const Tensor one = column_of({1}), label = column_of({0});

  EXPECT_NEAR(d.train_on_batch(one, label)["loss"], 3, 1e-6);
  EXPECT_NEAR(weight(d), 2.5, 1e-6);
  EXPECT_NEAR(gan.train_on_batch(one, label)["loss"], 2.5, 1e-6);
  EXPECT_NEAR(weight(d), 2.5, 1e-6);
  EXPECT_NEAR(weight(g), 1 - 0.5 * 2.5, 1e-6);
  d.train_on_batch(column_of({1, 1}),
                   column_of({0, 0}));  // two rows, and thrice: traced anew or not
  d.train_on_batch(Tensor::from<double>({1}, {1, 1}), label);
  EXPECT_NEAR(weight(d), 1.5, 1e-6);
  EXPECT_NEAR(weight(g), 1 - 0.5 * 2.5, 1e-6);
}

TEST(CompiledModelTest, FrozenNormalizationIsSoForModelsCompiledAfterwards) {
  const Layer norm = BatchNormalization{.momentum = 0.5};
  const Sequential first({Input({.shape = {1}}), norm});
  first.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse"});
  norm.set_trainable(false);
  const Sequential second({Input({.shape = {1}}), norm, line(1)});
  second.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse"});
  const Tensor x = column_of({2, 4}), y = column_of({0, 0});
  second.train_on_batch(x, y);
  EXPECT_EQ(norm.weights()[2].value().item<double>(), 0);  // moving_mean
  first.train_on_batch(x, y);
  EXPECT_NEAR(norm.weights()[2].value().item<double>(), 0.5 * 3, 1e-6);
}

TEST(CompiledModelTest, PenaltiesAndWeightsAreThoseOfTheCompiledModel) {
  const Layer dense = line(2, regularizers::L1({.l1 = 1}));
  const Sequential model({Input({.shape = {1}}), dense});
  model.compile({.optimizer = SGD({.learning_rate = 0.25}), .loss = prediction()});
  dense.weights()[0].set_trainable(false);
  const Tensor x = column_of({1}), y = column_of({0});
  EXPECT_NEAR(model.evaluate(x, y, {.verbose = 0})["loss"], 2 + 2, 1e-6);
  model.train_on_batch(x, y);
  EXPECT_NEAR(weight(model), 2 - 0.25 * (1 + 1), 1e-6);
  EXPECT_TRUE(model.trainable_weights().empty());  // what is said outside of a step is the present
  model.compile({.optimizer = SGD({.learning_rate = 0.25}), .loss = prediction()});
  EXPECT_NEAR(model.evaluate(x, y, {.verbose = 0})["loss"], 1.5, 1e-6);
}

TEST(CompiledModelTest, LayersFrozenBeforeTheyAreBuiltTrainAsCompiled) {
  const Sequential model({line(2)});
  model.compile({.optimizer = SGD({.learning_rate = 0.5}), .loss = prediction()});
  model.set_trainable(false);
  model.train_on_batch(column_of({1}), column_of({0}));
  EXPECT_NEAR(weight(model), 1.5, 1e-6);
}

TEST(CompiledModelTest, AModelThatGrewWantsAnotherCompile) {
  const Sequential inner({Input({.shape = {1}}), line(2)});
  const Sequential model({Input({.shape = {1}}), inner});
  const Tensor x = column_of({1}), y = column_of({0});
  model.compile({.optimizer = SGD({.learning_rate = 0.5}), .loss = prediction()});
  EXPECT_EQ(model(x).item<double>(), 2);
  model.train_on_batch(x, y);
  EXPECT_NE(model.summary_text().find("Optimizer params"), std::string::npos);
  inner.add(line(10));
  EXPECT_EQ(model.summary_text().find("Optimizer params"), std::string::npos);
  EXPECT_EQ(model(x).item<double>(), 15);
  EXPECT_NE(error_of([&] { model.train_on_batch(x, y); }).find("again after add() and pop()"),
            std::string::npos);
  model.compile({.optimizer = SGD({.learning_rate = 0.5}), .loss = prediction()});
  model.train_on_batch(x, y);
  EXPECT_NEAR(weight(model), 1.5 - 0.5 * 10, 1e-5);
  inner.pop();
  EXPECT_NEAR(model(x).item<double>(), 1.5 - 0.5 * 10, 1e-5);
}

TEST(CompiledModelTest, WeightsBehindAFrozenAndAFreeWayAreCountedOnce) {
  const Layer dense = line(1, regularizers::L1({.l1 = 1}));
  const Sequential frozen({Input({.shape = {1}}), dense}, {.trainable = false});
  const auto x = Input({.shape = {1}});
  const Model model({.inputs = {x}, .outputs = {Add()({frozen(x), dense(x)})}});
  EXPECT_EQ(model.weights().size(), 1u);
  EXPECT_EQ(model.trainable_weights().size(), 1u);
  EXPECT_TRUE(model.non_trainable_weights().empty());
  model.compile({.optimizer = "sgd", .loss = "mse"});
  EXPECT_NEAR(model.evaluate(column_of({1}), column_of({2}), {.verbose = 0})["loss"], 1, 1e-6);
}

TEST(OptimizerTest, BelongsToOneSetOfVariables) {
  const Optimizer adam = Adam({.learning_rate = 0.001});
  const auto make = [&] {
    const Sequential model({Input({.shape = {1}}), line(0)});
    model.compile({.optimizer = adam, .loss = prediction()});
    return model;
  };
  const Sequential a = make(), b = make();
  const Tensor x = column_of({1}), y = column_of({0});
  a.train_on_batch(x, y);
  const std::string error = error_of([&] { b.train_on_batch(x, y); });
  EXPECT_NE(error.find("adam: got variable " + b.weights()[0].path()), std::string::npos) << error;
  EXPECT_NE(error.find(a.weights()[0].path()), std::string::npos) << error;
  EXPECT_EQ(weight(b), 0);
  a.train_on_batch(x, y);  // the first goes on
  EXPECT_EQ(adam.iterations(), 2);
}

TEST(OptimizerTest, UpdatesPartsOfWhatItWasBuiltFor) {
  const Variable a(Tensor::scalar(1.0f), "a"), b(Tensor::scalar(1.0f), "b"),
      c(Tensor::scalar(1.0f), "c");
  const Optimizer sgd = SGD({.learning_rate = 0.5, .momentum = 0.9});
  sgd.build({a, b});
  EXPECT_NE(error_of([&] { sgd.build({c}); }).find("got variable c"), std::string::npos);
  const auto update = [&](const Variable& variable) {
    run(
        [&](std::span<const Value> in) {
          sgd.apply_gradients({{Gradient(in[0]), variable}});
          return std::vector<Value>();
        },
        {Tensor::scalar(1.0f)});
  };
  update(b);
  EXPECT_EQ(a.value().item<double>(), 1);
  EXPECT_EQ(b.value().item<double>(), 0.5);
  EXPECT_NE(error_of([&] { update(c); }).find("got variable c"), std::string::npos);
}

}  // namespace
}  // namespace cohort::nn
