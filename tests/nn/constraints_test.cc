// Constraints of weights: against Keras, under strategies, and what is refused.
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/update.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "tests/nn/support.h"
#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

using testing::expect_error;
using testing::expect_invalid;
using testing::Golden;
namespace c = constraints;

const std::map<std::string, Constraint> kValues{
    {"max_norm", "max_norm"},
    {"max_norm_axes", c::MaxNorm{.max_value = 1.5, .axis = {0, 1, 2}}},
    {"max_norm_axis", c::MaxNorm{.max_value = 1.0, .axis = 1}},
    {"non_neg", "NonNeg"},
    {"unit_norm", c::UnitNorm{}},
    {"unit_norm_axis", c::UnitNorm{.axis = 1}},
    {"min_max_norm", c::MinMaxNorm{.min_value = 0.5, .max_value = 1.2}},
    {"min_max_norm_rate",
     c::MinMaxNorm{.min_value = 0.5, .max_value = 1.2, .rate = 0.3, .axis = 1}},
};

struct StepCase {
  Optimizer optimizer;
  Constraint constraint;
};

std::map<std::string, StepCase> step_cases() {
  return {
      {"sgd", {SGD{.learning_rate = 0.1}, c::MaxNorm{.max_value = 1.0}}},
      {"sgd_momentum", {SGD{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true}, c::NonNeg{}}},
      {"adam", {Adam{.learning_rate = 0.05, .amsgrad = true}, c::UnitNorm{}}},
      {"adam_decay",
       {Adam{.learning_rate = 0.05, .weight_decay = 0.1}, c::MaxNorm{.max_value = 0.8, .axis = 1}}},
      {"adam_accumulated",
       {Adam{.learning_rate = 0.05, .gradient_accumulation_steps = 2},
        c::MinMaxNorm{.min_value = 0.5, .max_value = 1.0, .rate = 0.5}}},
      {"rmsprop",
       {RMSprop{.learning_rate = 0.02, .momentum = 0.5, .centered = true},
        c::MinMaxNorm{.min_value = 0.5, .max_value = 1.0}}},
      {"nadam", {Nadam{.learning_rate = 0.05, .clipnorm = 0.5}, c::UnitNorm{.axis = 1}}},
      {"lamb", {Lamb{.learning_rate = 0.05}, c::MaxNorm{.max_value = 1.0}}},
      {"ema",
       {SGD{.learning_rate = 0.1,
            .use_ema = true,
            .ema_momentum = 0.8,
            .ema_overwrite_frequency = 2},
        c::NonNeg{}}},
  };
}

/// A layer with one weight, that has the constraint.
class Held : public LayerImpl {
 public:
  Held(Shape shape, Constraint constraint)
      : LayerImpl("Held"), shape_(std::move(shape)), constraint_(std::move(constraint)) {}
  void build(std::span<const TensorType>) override {
    weight_ = add_weight("w", {.shape = shape_, .constraint = constraint_});
  }
  std::vector<Value> call(const CallArgs&) override { return {weight_}; }

 private:
  Shape shape_;
  Constraint constraint_;
  Variable weight_;
};

Variable held(const Tensor& value, const Constraint& constraint) {
  const Layer layer = make<Held>(value.shape(), constraint);
  layer.build({{DType::kF32, {1}}});
  layer.set_weights({value});
  return layer.weights().front();
}

TEST(ConstraintsGoldenTest, Values) {
  const Golden golden("constraints");
  for (const std::string& name : golden.cases("values")) {
    ASSERT_TRUE(kValues.contains(name)) << name;
    const std::vector<Tensor> y =
        run([&](std::span<const Value> in) { return std::vector{kValues.at(name)(in[0])}; },
            {golden["values/" + name + "/w"]});
    expect_near(y[0], golden["values/" + name + "/y"], 1e-6, name);
  }
}

TEST(ConstraintsGoldenTest, Steps) {
  const Golden golden("constraints");
  const std::map<std::string, StepCase> cases = step_cases();
  for (const std::string& name : golden.cases("steps")) {
    ASSERT_TRUE(cases.contains(name)) << name;
    const std::string at = "steps/" + name;
    const auto& [optimizer, constraint] = cases.at(name);
    const std::vector<Variable> variables{held(golden[at + "/start/a"], constraint),
                                          Variable(golden[at + "/start/b"], "b")};
    const Function step([&, optimizer = optimizer](std::span<const Value> in) {
      optimizer.apply_gradients(zip({Gradient(in[0]), Gradient(in[1])}, variables));
      return std::vector<Value>();
    });
    for (int i = 1; i <= 5; ++i) {
      const std::string k = std::to_string(i);
      step(golden[at + "/gradient" + k + "/a"], golden[at + "/gradient" + k + "/b"]);
      expect_near(variables[0].value(), golden[at + "/a" + k], 1e-5, at + "/a" + k);
      expect_near(variables[1].value(), golden[at + "/b" + k], 1e-5, at + "/b" + k);
    }
  }
}

Tensor sines(Shape shape) {
  Tensor tensor(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.data<float>()[i] = static_cast<float>(std::sin(1.7 * static_cast<double>(i)));
  return tensor;
}

std::vector<Tensor> trained_with(int devices, distribute::Sharding sharding,
                                 const Optimizer& optimizer) {
  set_random_seed(5);
  distribute::MirroredOptions options{
      .num_replicas = 2, .bytes_per_pack = 200, .sharding = sharding};
  for (int i = 0; i < devices; ++i) options.devices.push_back("cpu:" + std::to_string(i));
  const distribute::Strategy strategy = distribute::MirroredStrategy(options);
  const Sequential model = strategy.scope([&] {
    Sequential made({Input({.shape = {6}}),
                     Dense{.units = 8,
                           .activation = "relu",
                           .kernel_constraint = c::MaxNorm{.max_value = 0.6},
                           .bias_constraint = "non_neg"},
                     BatchNormalization{.gamma_constraint = c::MinMaxNorm{}}, Dense{.units = 2}});
    made.compile({.optimizer = optimizer, .loss = "mse"});
    return made;
  });
  model.fit(sines({22, 6}), sines({22, 2}),
            {.batch_size = 8, .epochs = 3, .verbose = 0, .shuffle = false});
  return model.get_weights();
}

TEST(ConstraintsTest, HoldUnderEveryStrategy) {
  using distribute::Sharding;
  for (const auto& make : {+[]() -> Optimizer { return SGD{.learning_rate = 0.5}; },
                           +[]() -> Optimizer { return Adam{.learning_rate = 0.1}; }}) {
    const std::vector<Tensor> one = trained_with(1, Sharding::kNone, make());
    for (const Sharding sharding : {Sharding::kNone, Sharding::kZero1}) {
      const std::vector<Tensor> two = trained_with(2, sharding, make());
      ASSERT_EQ(two.size(), one.size());
      for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(bitwise_equal(two[i], one[i])) << i;
    }
    const std::vector<double> kernel = numbers(one[0]), bias = numbers(one[1]);
    for (size_t column = 0; column < 8; ++column) {
      double squares = 0;
      for (size_t row = 0; row < 6; ++row)
        squares += kernel[row * 8 + column] * kernel[row * 8 + column];
      EXPECT_LE(std::sqrt(squares), 0.6 + 1e-5);
      EXPECT_GE(bias[column], 0);
    }
  }
}

/// Writes what it likes, whatever a variable is held to.
class Careless : public OptimizerImpl {
 public:
  Careless() : OptimizerImpl({.learning_rate = 0.1, .name = "careless"}) {}

 protected:
  void update(const Group& group) override {
    ops::sgd_update(group.states(), {}, group.gradients, group.learning_rate, group.step,
                    group.apply, {});
  }
};

TEST(ConstraintsTest, WhatCannotHoldThemIsRefused) {
  const Variable variable = held(sines({3, 2}), "non_neg");
  const auto step = [](const Optimizer& optimizer, const Variable& of) {
    run(
        [&](std::span<const Value> in) {
          optimizer.apply_gradients({{in[0], of}});
          return std::vector<Value>();
        },
        {sines({3, 2})});
  };
  expect_error(Code::kUnimplemented,
               {"careless", "a constraint of", variable.path(), "update_element"},
               [&] { step(make<Careless>(), variable); });
  const Variable wrong =
      held(sines({3, 2}), Constraint([](Value w) { return ops::reduce_sum(w); }));
  expect_invalid({"constraint of", wrong.path(), "[3, 2]"}, [&] { step(SGD{}, wrong); });
  expect_invalid({"constraint", "\"max\"", "min_max_norm"}, [] { Constraint("max"); });
  expect_invalid({"MaxNorm", "max_value -1"}, [] { Constraint(c::MaxNorm{.max_value = -1}); });
  expect_invalid({"MinMaxNorm", "min_value 2"}, [] { Constraint(c::MinMaxNorm{.min_value = 2}); });
  expect_invalid({"MinMaxNorm", "rate 2"}, [] { Constraint(c::MinMaxNorm{.rate = 2}); });
}

}  // namespace
}  // namespace cohort::nn
