#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cohort/cohort.h"
#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

using ::testing::ElementsAre;
using testing::expect_invalid;

std::vector<std::string> names_of(const TrackedObjects& objects) {
  std::vector<std::string> names;
  for (const internal::SavedValue& value : internal::walk(objects).values)
    names.push_back(value.name);
  return names;
}

TEST(ObjectWalkTest, LayersOfASequentialAreCountedByClassWhateverTheyAreCalled) {
  const Sequential model({Input({.shape = {3}}), Dense({.units = 2, .name = "mine"}),
                          Sequential({Dense({.units = 2, .use_bias = false})}),
                          Dense({.units = 2, .use_bias = false})});
  model.build({{DType::kF32, Shape{2, 3}}});
  EXPECT_THAT(
      names_of({{"model", model}}),
      ElementsAre("model/layers/dense/bias", "model/layers/dense/kernel",
                  "model/layers/dense_1/kernel", "model/layers/sequential/layers/dense/kernel",
                  "model/layers/sequential/steps_trained", "model/steps_trained"));
}

class Scale : public LayerImpl {
 public:
  Scale() : LayerImpl("Scale") {}
  void build(std::span<const TensorType>) override {
    factor_ = add_weight("factor", {.shape = {}, .initializer = "ones"});
  }
  std::vector<Value> call(const CallArgs& args) override { return {args.input() * factor_.read()}; }

 private:
  Variable factor_;
};

class Twice : public ModelImpl {
 public:
  Twice() : ModelImpl("Twice") {}
  std::vector<Value> call(const CallArgs& args) override {
    return {again_(second_(first_(args.input())))};
  }

 private:
  Layer second_ = child("zweite", make<Scale>());
  Layer first_ = child("erste", make<Scale>());
  Layer again_ = child("wieder", first_);
};

TEST(ObjectWalkTest, LayersOfASubclassAreCalledAsTheirParentCallsThem) {
  const Model model = make<Twice>();
  model.build({{DType::kF32, Shape{2, 3}}});
  EXPECT_THAT(names_of({{"m", model}}),
              ElementsAre("m/erste/factor", "m/steps_trained", "m/zweite/factor"));
}

TEST(ObjectWalkTest, ALayerInTwoPlacesHasTheFirstName) {
  const Layer shared = Dense({.units = 3, .use_bias = false});
  const SymbolicTensor x = Input({.shape = {3}});
  const Model model({.inputs = {x}, .outputs = {shared(shared(x))}});
  EXPECT_THAT(names_of({{"model", model}, {"layer", shared}}),
              ElementsAre("model/layers/dense/kernel", "model/steps_trained"));
  EXPECT_THAT(names_of({{"layer", shared}, {"model", model}}),
              ElementsAre("layer/kernel", "model/steps_trained"));
}

Sequential compiled(Optimizer optimizer) {
  Sequential model({Input({.shape = {3}}), Dense({.units = 2, .use_bias = false})});
  model.compile({.optimizer = std::move(optimizer), .loss = "mse"});
  const Tensor x = Tensor::full(DType::kF32, Shape{4, 3}, 1);
  model.fit(x, Tensor::full(DType::kF32, Shape{4, 2}, 1), {.verbose = 0});
  return model;
}

TEST(ObjectWalkTest, SlotsAreCalledByTheirWeights) {
  EXPECT_THAT(
      names_of({{"model", compiled(Adam())}}),
      ElementsAre("model/layers/dense/kernel", "model/optimizer/iterations",
                  "model/optimizer/learning_rate", "model/optimizer/momentum/layers/dense/kernel",
                  "model/optimizer/velocity/layers/dense/kernel", "model/steps_trained"));
}

TEST(ObjectWalkTest, AnOptimizerThatIsSavedOnItsOwnIsNotTheModelsToo) {
  const Sequential model = compiled(SGD({.momentum = 0.5}));
  const std::vector<std::string> names{"model/layers/dense/kernel", "model/steps_trained",
                                       "optimizer/iterations", "optimizer/learning_rate",
                                       "optimizer/momentum/model/layers/dense/kernel"};
  EXPECT_EQ(names_of({{"model", model}, {"optimizer", model.optimizer()}}), names);
  EXPECT_EQ(names_of({{"optimizer", model.optimizer()}, {"model", model}}), names);
  EXPECT_EQ(names_of({{"optimizer", model.optimizer()}}).back(), "optimizer/momentum/0");
}

TEST(ObjectWalkTest, VariablesAndMetricsAreRootsToo) {
  EXPECT_THAT(names_of({{"step", Variable(Tensor::scalar<int64_t>(3))}, {"mean", Mean()}}),
              ElementsAre("mean/0", "mean/1", "step"));
}

TEST(ObjectWalkTest, WhatIsNotMadeYetIsKnownToBeMissing) {
  const Sequential unbuilt({Dense({.units = 2})});
  EXPECT_FALSE(internal::walk({{"model", unbuilt}}).complete);
  EXPECT_TRUE(internal::walk({{"model", compiled("sgd")}}).complete);
}

class Clash : public LayerImpl {
 public:
  Clash() : LayerImpl("Clash") {}
  void build(std::span<const TensorType>) override { add_weight("a/factor", {.shape = {}}); }
  std::vector<Value> call(const CallArgs& args) override { return {inner_(args.input())}; }

 private:
  Layer inner_ = child("a", make<Scale>());
};

TEST(ObjectWalkTest, NamesThatMeanTwoThingsAreRefused) {
  const Layer layer = make<Clash>();
  Function([&](std::span<const Value> x) { return std::vector<Value>{layer(x[0])}; })(
      std::vector<Tensor>{Tensor::scalar(1.f)});
  expect_invalid({"saved as \"l/a/factor\""}, [&] { internal::walk({{"l", layer}}); });
  const Variable v(Tensor::scalar(1.f));
  expect_invalid({"two objects called \"v\""}, [&] { internal::walk({{"v", v}, {"v", v}}); });
  expect_invalid({"without \"/\""}, [&] { internal::walk({{"a/b", v}}); });
  expect_invalid({"want a name without \"@\""}, [&] { internal::walk({{"a@b", v}}); });
}

}  // namespace
}  // namespace cohort::nn
