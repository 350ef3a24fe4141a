// Steps that are skipped because a gradient is not finite.
#include <limits>

#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/state.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "cohort/nn/loss_scale.h"
#include "tests/nn/support.h"
#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

using data::Dataset;
using distribute::Sharding;
using distribute::Strategy;
using testing::expect_error;
using testing::expect_invalid;

constexpr int64_t kRowsOfBatch = 8, kColumns = 5;

/// `batches` batches; where `bad` is one of them, a row of it has an infinity.
Dataset batches_of(const std::vector<int64_t>& batches, int64_t bad = -1) {
  const auto n = static_cast<int64_t>(batches.size()) * kRowsOfBatch;
  Tensor x(DType::kF32, {n, kColumns}), y(DType::kI32, {n});
  for (size_t b = 0; b < batches.size(); ++b)
    for (int64_t i = 0; i < kRowsOfBatch; ++i) {
      const int64_t row = static_cast<int64_t>(b) * kRowsOfBatch + i,
                    number = batches[b] * kRowsOfBatch + i;
      for (int64_t k = 0; k < kColumns; ++k)
        x.data<float>()[row * kColumns + k] =
            static_cast<float>(std::sin(1.7 * static_cast<double>(number * kColumns + k)));
      if (batches[b] == bad && i == 6)
        x.data<float>()[row * kColumns] = std::numeric_limits<float>::infinity();
      y.data<int32_t>()[row] = static_cast<int32_t>(number * 5 % 3);
    }
  return Dataset::from_tensor_slices({x, y}).batch(kRowsOfBatch);
}

struct Place {
  const char* name;
  int devices, replicas;
  Sharding sharding;
};

Strategy strategy_of(const Place& place) {
  distribute::MirroredOptions options{
      .num_replicas = place.replicas, .bytes_per_pack = 400, .sharding = place.sharding};
  for (int i = 0; i < place.devices; ++i) options.devices.push_back("cpu:" + std::to_string(i));
  return distribute::MirroredStrategy(options);
}

Model made_with(const Optimizer& optimizer, bool synchronized = true) {
  set_random_seed(3);
  Sequential model({Input({.shape = {kColumns}}), Dense{.units = 24, .activation = "relu"},
                    BatchNormalization{.momentum = 0.9, .synchronized = synchronized},
                    Dense{.units = 3}});
  model.compile({.optimizer = optimizer,
                 .loss = SparseCategoricalCrossentropy{.from_logits = true},
                 .metrics = {"accuracy"}});
  return model;
}

Optimizer scaled(const Optimizer& inner, double initial_scale = 1024) {
  return LossScaleOptimizer{.inner_optimizer = inner, .initial_scale = initial_scale};
}

std::vector<std::pair<const char*, Optimizer (*)()>> inner_optimizers() {
  return {
      {"sgd", [] { return Optimizer(SGD{.learning_rate = 0.1}); }},
      {"adam", [] { return Optimizer(Adam{.learning_rate = 0.01, .amsgrad = true}); }},
      {"clipped",
       [] {
         return Optimizer(SGD{
             .learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01, .global_clipnorm = 1});
       }},
      {"nadam", [] { return Optimizer(Nadam{.learning_rate = 0.01, .use_ema = true}); }},
      {"lamb", [] { return Optimizer(Lamb{.learning_rate = 0.01}); }},
      {"accumulated",
       [] { return Optimizer(Adam{.learning_rate = 0.01, .gradient_accumulation_steps = 2}); }}};
}

class SkippedStepTest : public ::testing::TestWithParam<Place> {};

INSTANTIATE_TEST_SUITE_P(Places, SkippedStepTest,
                         ::testing::Values(Place{"one", 1, 1, Sharding::kNone},
                                           Place{"three", 3, 3, Sharding::kNone},
                                           Place{"logical", 2, 4, Sharding::kNone},
                                           Place{"zero1", 4, 4, Sharding::kZero1}),
                         [](const auto& info) { return info.param.name; });

struct Skipped {
  std::vector<Tensor> values;  ///< weights, then the optimizer's variables but for the scale's
  History history;
  int64_t commits, iterations;
  double scale;
};

Skipped train_at(const Place& place, const Optimizer& optimizer, const Dataset& data) {
  const Strategy strategy = strategy_of(place);
  const Model model = strategy.scope([&] { return made_with(optimizer); });
  const History history = model.fit(data, {.epochs = 2, .verbose = 0});
  Skipped outcome{model.get_weights(), history, strategy.commit_number(), optimizer.iterations(),
                  0};
  const std::vector<Variable> of_scale = optimizer->loss_scale()->variables();
  outcome.scale = of_scale[1].value().item<double>();
  for (const Variable& variable : optimizer.variables())
    if (!(variable == of_scale[0]) && !(variable == of_scale[1]))
      outcome.values.push_back(variable.value());
  return outcome;
}

// Scales are powers of 2, so that gradients have the bits that they have without one.
TEST_P(SkippedStepTest, IsAsIfItHadNotBeen) {
  for (const auto& [name, make] : inner_optimizers()) {
    const Skipped got = train_at(GetParam(), scaled(make()), batches_of({0, 1, 2, 3}, 2));
    const Skipped want = train_at(GetParam(), scaled(make()), batches_of({0, 1, 3}));
    ASSERT_EQ(got.values.size(), want.values.size()) << name;
    for (size_t i = 0; i < want.values.size(); ++i)
      EXPECT_TRUE(bitwise_equal(got.values[i], want.values[i])) << name << ", variable " << i;
    for (const auto& [metric, values] : want.history.history())
      EXPECT_EQ(got.history[metric], values) << name << " " << metric;
    EXPECT_EQ(got.iterations, want.iterations) << name;
    EXPECT_EQ(got.scale, 256) << name << ": two steps were skipped";
    EXPECT_EQ(want.scale, 1024) << name;
    EXPECT_EQ(got.commits - want.commits, 2) << name << ": skipped steps are counted";
  }
}

TEST(LossScaleTest, StatisticsOfEachReplicaStayToo) {
  const Place two{"two", 2, 2, Sharding::kNone};
  const auto weights = [&](const Dataset& data) {
    const Model model = strategy_of(two).scope([&] { return made_with(scaled(SGD{}), false); });
    model.fit(data, {.verbose = 0});
    return model.get_weights();
  };
  const std::vector<Tensor> got = weights(batches_of({0, 1, 2}, 1)),
                            want = weights(batches_of({0, 2}));
  for (size_t i = 0; i < want.size(); ++i) EXPECT_TRUE(bitwise_equal(got[i], want[i])) << i;
}

TEST(LossScaleTest, AScaleThatIsTooLargeFallsUntilStepsAreTaken) {
  const Optimizer optimizer = scaled(SGD{.learning_rate = 1e-3}, std::ldexp(1.0, 126));
  const Sequential model({Input({.shape = {2}}), Dense{.units = 1}});
  model.compile({.optimizer = optimizer, .loss = "mse"});
  const Tensor x = Tensor::full(DType::kF32, {4, 2}, 1), y = Tensor::full(DType::kF32, {4, 1}, 1e3);
  for (int i = 0; i < 40; ++i) model.train_on_batch(x, y);
  const double scale = optimizer->loss_scale()->variables()[1].value().item<double>();
  EXPECT_LT(optimizer.iterations(), 40 - 5);
  EXPECT_GT(optimizer.iterations(), 10);
  EXPECT_EQ(scale, std::ldexp(1.0, 126 - static_cast<int>(40 - optimizer.iterations())));
}

TEST(LossScaleTest, OverflowsForEverAreAnErrorThatNamesTheVariable) {
  for (const bool by_batch : {false, true}) {
    const Model model = made_with(scaled(SGD{}, std::ldexp(1.0, -23)));
    const Dataset bad = batches_of({2}, 2).repeat(3);
    const std::string kernel = model.weights()[0].path();
    expect_invalid({"loss_scale_optimizer", kernel, "not finite",
                    by_batch ? "loss scale of 2.98" : "loss scale of 1.49"},
                   [&] {
                     if (!by_batch) model.fit(bad, {.verbose = 0});
                     Tensor x(DType::kF32, {2, kColumns}), y(DType::kI32, {2});
                     x.data<float>()[1] = std::numeric_limits<float>::quiet_NaN();
                     for (int i = 0; i < 3; ++i) model.train_on_batch(x, y);
                   });
  }
}

TEST(LossScaleTest, ALoopOfOnesOwnSkipsWhatItCommitsBesides) {
  const Optimizer optimizer = scaled(SGD{.learning_rate = 1});
  const Variable weight(Tensor::from(std::vector<float>{1, 2}, Shape{2}), "w");
  const Variable seen(Tensor::scalar(0.0), "seen"), last(Tensor::scalar(0.0f), "last");
  const Function step([&](std::span<const Value> in) {
    ops::assign_add(seen.shared(), ops::constant(Tensor::scalar(1.0)));
    const Value loss = ops::reduce_sum(weight * in[0]);
    optimizer.apply_gradients(zip(gradients(optimizer.scale_loss(loss), {weight}), {weight}));
    ops::assign(last.shared(), loss);
    return std::vector<Value>{loss};
  });
  const float inf = std::numeric_limits<float>::infinity();
  step(Tensor::from(std::vector<float>{1, 1}, Shape{2}));
  step(Tensor::from(std::vector<float>{inf, 1}, Shape{2}));
  EXPECT_EQ(numbers(weight.value()), (std::vector<double>{0, 1}));
  EXPECT_EQ(seen.value().item<double>(), 1);
  EXPECT_EQ(last.value().item<double>(), 3);
  EXPECT_EQ(optimizer.iterations(), 1);
  EXPECT_EQ(optimizer->loss_scale()->variables()[1].value().item<double>(), 512);
}

TEST(LossScaleTest, CompileScalesLossesOfMixedFloat16) {
  const auto compiled = [](const char* policy, bool auto_scale_loss) {
    set_dtype_policy(policy);
    const Sequential model({Input({.shape = {2}}), Dense{.units = 1}});
    set_dtype_policy("float32");
    const Optimizer optimizer = SGD{.loss_scale_factor = 4};
    model.compile({.optimizer = optimizer, .loss = "mse", .auto_scale_loss = auto_scale_loss});
    model.compile({.optimizer = optimizer, .loss = "mse", .auto_scale_loss = auto_scale_loss});
    return model.optimizer();
  };
  EXPECT_TRUE(compiled("mixed_float16", true)->loss_scale());
  EXPECT_FALSE(compiled("mixed_float16", true)->options().loss_scale_factor);
  EXPECT_FALSE(compiled("mixed_float16", false)->loss_scale());
  EXPECT_FALSE(compiled("mixed_bfloat16", true)->loss_scale());
  EXPECT_FALSE(compiled("float32", true)->loss_scale());
}

TEST(LossScaleTest, WhatMakesNoScaleIsRefused) {
  const auto make = [](double scale, int64_t steps) {
    return Optimizer(LossScaleOptimizer{
        .inner_optimizer = SGD{}, .initial_scale = scale, .dynamic_growth_steps = steps});
  };
  expect_invalid({"loss_scale_optimizer", "initial_scale 0"}, [&] { make(0, 1); });
  expect_invalid({"loss_scale_optimizer", "initial_scale nan"}, [&] { make(std::nan(""), 1); });
  expect_invalid({"loss_scale_optimizer", "dynamic_growth_steps 0"}, [&] { make(1, 0); });
  expect_error(Code::kFailedPrecondition, {"SGD", "second dynamic loss scale"},
               [&] { scaled(make(1, 1)); });
  expect_error(Code::kFailedPrecondition, {"empty"}, [&] { Optimizer(LossScaleOptimizer{}); });
}

}  // namespace
}  // namespace cohort::nn
