// Models whose optimizer's slots are divided over the devices of their strategy.
#include <optional>

#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/runtime/parameter_group.h"
#include "tests/nn/sharded_support.h"

namespace cohort::nn::sharded {
namespace {

Optimizer decaying_unevenly() {
  const Optimizer adam = Adam({.learning_rate = 0.01, .weight_decay = 0.1});
  adam.exclude_from_weight_decay({}, {"bias"});
  return adam;
}

const Case kCases[] = {
    {"sgd", [] { return Optimizer(SGD({.learning_rate = 0.1})); }},
    {"momentum", [] { return Optimizer(SGD({.learning_rate = 0.1, .momentum = 0.9})); }},
    {"nesterov",
     [] { return Optimizer(SGD({.learning_rate = 0.1, .momentum = 0.9, .nesterov = true})); }},
    {"adam", [] { return Optimizer(Adam({.learning_rate = 0.01})); }},
    {"amsgrad",
     [] { return Optimizer(Adam({.learning_rate = 0.01, .amsgrad = true, .weight_decay = 0.1})); }},
    {"uneven_decay", decaying_unevenly},
    {"adamw", [] { return Optimizer(AdamW({.learning_rate = 0.01})); }},
    {"rmsprop",
     [] { return Optimizer(RMSprop({.learning_rate = 0.01, .momentum = 0.9, .centered = true})); }},
    {"adagrad", [] { return Optimizer(Adagrad({.learning_rate = 0.1})); }},
    {"adadelta", [] { return Optimizer(Adadelta({.learning_rate = 1.0})); }},
    {"adamax", [] { return Optimizer(Adamax({.learning_rate = 0.01})); }},
    {"nadam", [] { return Optimizer(Nadam({.learning_rate = 0.01, .weight_decay = 0.1})); }},
    {"lion", [] { return Optimizer(Lion({.learning_rate = 1e-3})); }},
    {"ftrl",
     [] {
       return Optimizer(
           Ftrl({.learning_rate = 0.1, .l1_regularization_strength = 1e-3, .beta = 0.1}));
     }},
    {"averaged",
     [] {
       return Optimizer(Adam({.learning_rate = 0.01,
                              .use_ema = true,
                              .ema_momentum = 0.9,
                              .ema_overwrite_frequency = 3,
                              .gradient_accumulation_steps = 2}));
     }},
    {"clipvalue", [] { return Optimizer(Adam({.learning_rate = 0.01, .clipvalue = 1e-3})); }},
    {"accumulation",
     [] { return Optimizer(Adam({.learning_rate = 0.01, .gradient_accumulation_steps = 3})); }},
    {"clipped_accumulation",
     [] {
       return Optimizer(
           SGD({.learning_rate = 0.1, .clipvalue = 1e-2, .gradient_accumulation_steps = 2}));
     }},
};

class ZeroConcurrentTest : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Optimizers, ZeroConcurrentTest, ::testing::ValuesIn(kCases), name_of);

TEST_P(ZeroConcurrentTest, WeightsAndSlotsHaveTheBitsOfTheReplicatedRun) {
  const std::vector<Tensor> want = trained(mirrored(1, Sharding::kNone), GetParam().make());
  for (const int devices : {1, 2, 3, 4})
    expect_same_bits(trained(mirrored(devices, Sharding::kZero1), GetParam().make()), want,
                     std::to_string(devices) + " devices");
}

TEST(ZeroTest, OneGroupHoldsEverythingWithLargePacks) {
  const auto make = [] { return Optimizer(Adam({.learning_rate = 0.01})); };
  expect_same_bits(trained(mirrored(4, Sharding::kZero1, 64 << 20), make()),
                   trained(mirrored(4, Sharding::kNone), make()), "one group");
}

/// A table's gradient, slices of which make one dense row after another, is a segment like others.
TEST(ZeroTest, ATableThatAdamUpdatesIsOfAGroup) {
  const auto run = [](Sharding sharding) {
    set_random_seed(3);
    const Model model = mirrored(3, sharding).scope([] {
      const Model model = Sequential({Input({.shape = {4}, .dtype = DType::kI32}),
                                      Embedding({.input_dim = 900, .output_dim = 6}), Flatten(),
                                      Dense({.units = 3})});
      model.compile({.optimizer = Adam({.learning_rate = 0.01}),
                     .loss = SparseCategoricalCrossentropy({.from_logits = true})});
      return model;
    });
    Tensor x(DType::kI32, {64, 4}), y(DType::kI32, {64});
    for (int64_t i = 0; i < x.num_elements(); ++i)
      x.data<int32_t>()[i] = static_cast<int32_t>(i * i * 7919 % 900);
    for (int64_t i = 0; i < 64; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i % 3);
    model.fit(Dataset::from_tensor_slices({x, y}).batch(16), {.epochs = 3, .verbose = 0});
    return model.get_weights();
  };
  expect_same_bits(run(Sharding::kZero1), run(Sharding::kNone), "table");
}

const VariableState& whole_of(const Variable& slot) { return *slot.shared()->part().whole; }

TEST(ZeroTest, ADeviceHoldsTheSlotsOfItsRangeAlone) {
  const Optimizer optimizer = Adam({.learning_rate = 0.01});
  const Model model = make_model(mirrored(4, Sharding::kZero1), optimizer);
  model.fit(batches(), {.epochs = 1, .verbose = 0});
  std::set<const VariableState*> wholes;
  for (const Variable& variable : optimizer.variables())
    if (variable.shared()->part().whole) wholes.insert(&whole_of(variable));
  ASSERT_GE(wholes.size(), 4u);  // m and v of several groups
  int64_t held = 0, all = 0;
  for (const VariableState* whole : wholes) {
    ASSERT_EQ(whole->places().size(), 4u);
    all += whole->shape().num_elements();
    EXPECT_EQ(whole->shape().num_elements() % (4 * ParameterGroup::kLine), 0);
    held += whole->places()[2]->elements.size();
  }
  EXPECT_EQ(held * 4, all);
  for (const Variable& variable : optimizer.variables()) {
    if (!variable.shared()->part().whole) continue;
    for (const auto& place : variable.shared()->places()) EXPECT_EQ(place->memory, nullptr);
  }
}

TEST(ZeroTest, SlotsAreAssignedAndReadByTheirElements) {
  const Optimizer optimizer = SGD({.learning_rate = 0.1, .momentum = 0.9});
  const Model model = make_model(mirrored(3, Sharding::kZero1), optimizer);
  model.fit(batches(), {.epochs = 1, .verbose = 0});
  const std::vector<Tensor> before = values_of(optimizer.variables());
  for (const Variable& variable : optimizer.variables()) {
    if (!variable.shared()->part().whole) continue;
    Tensor value(DType::kF32, variable.shape());
    for (int64_t i = 0; i < value.num_elements(); ++i)
      value.data<float>()[i] = static_cast<float>(i % 1013);
    const Tensor kept = variable.value();
    variable.assign(value);
    EXPECT_TRUE(bitwise_equal(variable.value(), value)) << variable.path();
    variable.assign(kept);
  }
  expect_same_bits(values_of(optimizer.variables()), before, "assigned back");
}

TEST(ZeroTest, WhatWasInTheSlotsBeforeTheFirstStepStays) {
  const auto run = [](Sharding sharding) {
    const Optimizer optimizer = SGD({.learning_rate = 0.1, .momentum = 0.9});
    const Model model = make_model(mirrored(2, sharding), optimizer);
    optimizer.build(model.trainable_weights());
    for (const Variable& variable : optimizer.variables())
      if (variable.path().find("momentum") != std::string::npos)
        variable.assign(Tensor::full(DType::kF32, variable.shape(), 0.25));
    model.fit(batches(), {.epochs = 1, .verbose = 0});
    return model.get_weights();
  };
  expect_same_bits(run(Sharding::kZero1), run(Sharding::kNone), "begun at 0.25");
}

TEST(ZeroTest, EvaluatesAndPredictsBetweenSteps) {
  const auto run = [](Sharding sharding) {
    const Model model = make_model(mirrored(3, sharding), Adam({.learning_rate = 0.01}));
    std::vector<Tensor> seen;
    const Tensor x = Tensor::full(DType::kF32, Shape{5, 20}, 0.5);
    model.fit(batches(),
              {.epochs = 2,
               .verbose = 0,
               .callbacks = {LambdaCallback({.on_train_batch_end = [&](int64_t, const Logs&) {
                 seen.push_back(model.predict(x, {.verbose = 0}));
               }})}});
    return seen;
  };
  expect_same_bits(run(Sharding::kZero1), run(Sharding::kNone), "predicted");
}

/// Steps of two functions that lay the same variables out in other groups take turns.
TEST(ZeroTest, StepsWithOtherGroupsOfTheSameVariablesTakeTurns) {
  const auto run = [](Sharding sharding) {
    const Strategy strategy = mirrored(2, sharding);
    const Model model = make_model(strategy, SGD({.learning_rate = 0.1}));
    const Optimizer other = SGD({.learning_rate = 0.05});
    const Function last_layer = function(
        [&](Value x) {
          const auto all = model.trainable_weights();
          const std::vector<Variable> last(all.end() - 2, all.end());
          const Value loss = ops::reduce_sum(ops::square(model(x, {.training = false})));
          other.apply(gradients(loss, last), last);
          return loss;
        },
        "last layer");
    const Tensor x = Tensor::full(DType::kF32, Shape{4, 20}, 0.5);
    for (int round = 0; round < 3; ++round) {
      model.fit(batches(), {.epochs = 1, .verbose = 0});
      strategy.run(last_layer, {x});
    }
    return model.get_weights();
  };
  expect_same_bits(run(Sharding::kZero1), run(Sharding::kNone), "in turns");
}

const Case kNorms[] = {
    {"lamb", [] { return Optimizer(Lamb({.learning_rate = 0.01, .weight_decay = 0.1})); }},
    {"clipnorm", [] { return Optimizer(Adam({.learning_rate = 0.01, .clipnorm = 0.02})); }},
    {"global_clipnorm",
     [] {
       return Optimizer(SGD({.learning_rate = 0.1, .momentum = 0.9, .global_clipnorm = 0.05}));
     }},
    {"accumulation",
     [] {
       return Optimizer(Adam(
           {.learning_rate = 0.01, .global_clipnorm = 0.05, .gradient_accumulation_steps = 2}));
     }},
};

class ZeroNormsConcurrentTest : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Optimizers, ZeroNormsConcurrentTest, ::testing::ValuesIn(kNorms), name_of);

TEST_P(ZeroNormsConcurrentTest, NormsHaveTheBitsOfTheReplicatedRun) {
  for (const int devices : {2, 3, 4})
    expect_same_bits(
        trained(mirrored(devices, Sharding::kZero1, kPack, devices), GetParam().make()),
        trained(mirrored(1, Sharding::kNone, kPack, devices), GetParam().make()),
        std::to_string(devices) + " devices");
}

TEST_P(ZeroNormsConcurrentTest, AndWhereADeviceCarriesSeveralReplicas) {
  const std::vector<Tensor> want =
      trained(mirrored(1, Sharding::kNone, kPack, 4), GetParam().make());
  for (const int devices : {2, 3})
    expect_same_bits(trained(mirrored(devices, Sharding::kZero1, kPack, 4), GetParam().make()),
                     want, std::to_string(devices) + " devices");
}

/// Variables of two dtypes are of two updates, whose norms stand in turn.
TEST(ZeroTest, NormsOfVariablesOfTwoDtypesHaveTheBitsOfTheReplicatedRun) {
  const auto run = [](Sharding sharding) {
    const Strategy strategy = mirrored(2, sharding, kPack, 2);
    const Optimizer optimizer = Lamb({.learning_rate = 0.01, .weight_decay = 0.1});
    const auto start = [](DType dtype) {
      return Tensor::full(DType::kF32, Shape{90, 50}, 0.5).cast(dtype);
    };
    const std::vector<Variable> weights = strategy.scope([&] {
      return std::vector{Variable(start(DType::kF32), VariableOptions{.name = "single"}),
                         Variable(start(DType::kF64), VariableOptions{.name = "double"})};
    });
    const Function step = function(
        [&](Value x) {
          const Value loss =
              ops::reduce_sum(ops::square(x * weights[0].read())) +
              ops::cast(ops::reduce_sum(ops::square(weights[1].read() * 3.0)), DType::kF32);
          optimizer.apply(gradients(loss, weights), weights);
          return loss;
        },
        "step");
    const Tensor x = Tensor::full(DType::kF32, Shape{}, 0.25);
    for (int i = 0; i < 3; ++i) strategy.run(step, {x});
    return values_of(weights);
  };
  expect_same_bits(run(Sharding::kZero1), run(Sharding::kNone), "two dtypes");
}

TEST(ZeroTest, AnotherUseOfTheSlotsIsRefused) {
  const Optimizer optimizer = SGD({.learning_rate = 0.1, .momentum = 0.9});
  const Model model = make_model(mirrored(2, Sharding::kZero1), optimizer);
  model.fit(batches(), {.epochs = 1, .verbose = 0});
  const Variable slot = optimizer.variables().back();
  const Function twice = function([&] { return slot.read() + slot.read(); });
  const std::string error = error_of([&] { twice(); });
  EXPECT_NE(error.find(slot.path()), std::string::npos) << error;
  EXPECT_NE(error.find("sharded(0) on data of 2"), std::string::npos) << error;
}

}  // namespace
}  // namespace cohort::nn::sharded
