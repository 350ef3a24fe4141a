// Functional models of operators, functions and calls with options; where layers and models begin
// and end.
#include <gmock/gmock.h>

#include "cohort/core/ops/math.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class SymbolicCallsTest : public ::testing::Test {
 protected:
  void SetUp() override { clear_session(); }
};

Tensor predict(const Model& model, const Tensor& x) { return model.predict(x, {.verbose = 0}); }

TEST_F(SymbolicCallsTest, OperatorsAndFunctionsAreStepsOfTheModel) {
  const auto x = Input({.shape = {3}});
  const auto y = relu(x) + x * 2 - exp(-x) / (4.0 - x) + leaky_relu(x, 0.5) + 1 - 0.5 / (x * x);
  const Model model({.inputs = {x}, .outputs = {y, reduce_sum(square(x), {.axis = {-1}})}});
  const std::vector<double> in{-2, 1, 3};
  const std::vector<Tensor> got =
      model.predict_all({Tensor::from<float>({-2, 1, 3}, {1, 3})}, {.verbose = 0});
  for (size_t i = 0; i < in.size(); ++i) {
    const double v = in[i];
    const double want =
        std::max(v, 0.0) + v * 2 - std::exp(-v) / (4 - v) + (v > 0 ? v : v / 2) + 1 - 0.5 / (v * v);
    EXPECT_NEAR(numbers(got[0])[i], want, 1e-5) << v;
  }
  EXPECT_EQ(numbers(got[1]), (std::vector<double>{14}));
}

TEST_F(SymbolicCallsTest, StepsAreNamedAfterWhatTheyDoAndHaveNoWeights) {
  const auto x = Input({.shape = {3}});
  const auto sum = x + x;
  EXPECT_EQ(sum.layer().name(), "add");
  EXPECT_EQ((x / 2).layer().name(), "true_divide");
  EXPECT_EQ(gelu(x).layer().name(), "gelu");
  EXPECT_TRUE(sum.layer().weights().empty());
  EXPECT_THAT(error_of([&] { x + Input({.shape = {4}}); }),
              AllOf(HasSubstr("add_1"), HasSubstr("[N, 3]"), HasSubstr("[N, 4]")));
  const auto mine = operation("Twice", {x}, [](std::span<const Value> in) { return in[0] * 2.0; });
  EXPECT_EQ(mine.layer().name(), "twice");
  EXPECT_EQ(mine.shape(), x.shape());
}

TEST_F(SymbolicCallsTest, TrainingOfOneCallIsSettledWhereItIsWritten) {
  struct Mode : LayerImpl {
    Mode() : LayerImpl("Mode") {}
    std::vector<Value> call(const CallArgs& args) override {
      return {args.input() + (args.training ? 100.0 : 1.0)};
    }
  };
  const auto x = Input({.shape = {1}});
  const Model base({.inputs = {x}, .outputs = {Layer(make<Mode>())(x)}});
  const auto y = Input({.shape = {1}});
  const Model model(
      {.inputs = {y},
       .outputs = {base(y, {.training = false}), base(y, {.training = true}), base(y)}});
  for (const bool training : {false, true}) {
    const std::vector<Tensor> got =
        run([&](std::span<const Value> in) { return model.call({in[0]}, {.training = training}); },
            {Tensor(DType::kF32, {1, 1})});
    EXPECT_EQ(numbers(got[0])[0], 1);
    EXPECT_EQ(numbers(got[1])[0], 100);
    EXPECT_EQ(numbers(got[2])[0], training ? 100 : 1);
  }
}

TEST_F(SymbolicCallsTest, AnInitialStateGoesToTheCall) {
  struct Adds : LayerImpl {
    Adds() : LayerImpl("Adds") {}
    std::vector<Value> call(const CallArgs& args) override {
      Value y = args.input();
      for (const Value& state : args.initial_state) y = y + state;
      return {y};
    }
  };
  const auto x = Input({.shape = {2}}), state = Input({.shape = {2}});
  const Model model({.inputs = {x, state},
                     .outputs = {Layer(make<Adds>())(x, {.initial_state = {state, state}})}});
  const std::vector<Tensor> got = model.predict_all(
      {Tensor::from<float>({1, 2}, {1, 2}), Tensor::from<float>({10, 20}, {1, 2})}, {.verbose = 0});
  EXPECT_EQ(numbers(got[0]), (std::vector<double>{21, 42}));
}

TEST_F(SymbolicCallsTest, AModelEndsWhereALayerOfAnotherOneDoes) {
  const Sequential base({Input({.shape = {3}}), Dense{.units = 4, .activation = "relu"},
                         Dense{.units = 2, .name = "head"}});
  const Model features({.inputs = base.inputs(), .outputs = {base.get_layer(0).output()}});
  const Tensor x = Tensor::from<float>({1, -2, 3}, {1, 3});
  const Model again({.inputs = base.inputs(), .outputs = base.outputs()});
  expect_near(predict(again, x), predict(base, x), 1e-6, "the whole");
  EXPECT_EQ(predict(features, x).shape(), (Shape{1, 4}));
  EXPECT_EQ(features.weights().size(), 2);
  EXPECT_EQ(features.weights()[0].path(), base.weights()[0].path());
  EXPECT_EQ(base.get_layer("head").input().layer().name(), "dense");

  const auto y = Input({.shape = {3}});
  const Layer shared = Dense{.units = 2};
  const auto first = shared(y);
  const auto second = shared(y * 2);
  EXPECT_FALSE(second == first);
  EXPECT_TRUE(shared.output() == first);
  const Model functional({.inputs = {y}, .outputs = {first}});
  EXPECT_TRUE(functional.output() == first);
  EXPECT_TRUE(functional.inputs().at(0) == y);
}

TEST_F(SymbolicCallsTest, WhatHasNoEndSaysSo) {
  const Layer alone = Dense{.units = 2};
  EXPECT_THAT(error_of([&] { alone.output(); }), HasSubstr("dense: output: got a layer that no"));
  const Sequential open({Dense{.units = 2}});
  EXPECT_THAT(error_of([&] { open.outputs(); }), HasSubstr("sequential: outputs: got a model"));
  EXPECT_EQ(open.get_layer(0).name(), "dense_1");
  EXPECT_THAT(error_of([&] { open.get_layer(1); }), HasSubstr("get_layer: got 1"));
  EXPECT_THAT(error_of([&] { open.get_layer(-1); }), HasSubstr("get_layer: got -1"));
}

TEST_F(SymbolicCallsTest, ASequentialWithAnInputForgetsLayersThatArePopped) {
  const Sequential model({Input({.shape = {3}}), Dense{.units = 4}, Dense{.units = 2}});
  model.pop();
  EXPECT_EQ(model.output().shape(), (Shape{batch_dim(), 4}));
  model.add(Dense{.units = 5});
  EXPECT_EQ(model.output().shape(), (Shape{batch_dim(), 5}));
}

}  // namespace
}  // namespace cohort::nn
