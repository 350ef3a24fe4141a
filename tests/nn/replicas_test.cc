// Models under MirroredStrategy: N replicas train as one does, to the bit where the replicas are
// the same.
#include <functional>

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/distributed_dataset.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using distribute::MirroredOptions;
using distribute::MirroredStrategy;
using distribute::OneDeviceStrategy;
using distribute::Strategy;

Tensor waves(Shape shape) {
  Tensor tensor(DType::kF64, std::move(shape));
  for (int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.data<double>()[i] = std::sin(1.7 * static_cast<double>(i));
  return tensor;
}

Tensor labels(int64_t rows) {
  Tensor tensor(DType::kI32, {rows});
  for (int64_t i = 0; i < rows; ++i) tensor.data<int32_t>()[i] = static_cast<int32_t>(i * 5 % 3);
  return tensor;
}

Strategy mirrored(int replicas) {
  std::vector<std::string> devices;
  for (int i = 0; i < replicas; ++i) devices.push_back("cpu:" + std::to_string(i));
  return MirroredStrategy({.devices = devices});
}

/// An MLP with dropout, batch normalisation and a penalty.
Sequential make_model(DType dtype, bool synchronized) {
  return Sequential(
      {Input({.shape = {6}, .dtype = dtype}),
       Dense({.units = 8, .kernel_regularizer = "l2", .dtype = dtype}),
       BatchNormalization({.momentum = 0.9, .synchronized = synchronized, .dtype = dtype}),
       Activation({.activation = "relu", .dtype = dtype}), Dropout({.rate = 0.3, .dtype = dtype}),
       Dense({.units = 3, .dtype = dtype})});
}

struct Trained {
  std::vector<Tensor> weights;
  History history;
  Tensor predictions;
};

constexpr int64_t kRows = 37;  // batches of 8: the last has 5 rows

Trained train(const Strategy& strategy, DType dtype, const std::function<Optimizer()>& optimizer,
              bool synchronized = true) {
  set_random_seed(3);
  const Sequential model = strategy.scope([&] { return make_model(dtype, synchronized); });
  model.compile({.optimizer = optimizer(),
                 .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                 .metrics = {"accuracy"}});
  const Tensor x = waves({kRows, 6}).cast(dtype), y = labels(kRows);
  const History history =
      model.fit(x, y, {.batch_size = 8, .epochs = 3, .verbose = 0, .validation_data = {x, y}});
  return {model.get_weights(), history, model.predict(x, {.batch_size = 8, .verbose = 0})};
}

void expect_same(const Trained& got, const Trained& want, double tolerance) {
  for (size_t i = 0; i < want.weights.size(); ++i)
    expect_near(got.weights[i], want.weights[i], tolerance, "weight " + std::to_string(i));
  expect_near(got.predictions, want.predictions, tolerance, "predictions");
  for (const auto& [name, values] : want.history.history())
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_NEAR(got.history[name][i], values[i], 1e-5) << name;
}

class ReplicasTest : public ::testing::TestWithParam<int> {};

TEST_P(ReplicasTest, EqualOneInDoublePrecisionWithEveryOptimizer) {
  const std::function<Optimizer()> optimizers[] = {
      [] { return SGD({.learning_rate = 0.1}); },
      [] {
        return SGD({.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .clipnorm = 0.5});
      },
      [] { return Adam({.learning_rate = 0.01, .weight_decay = 0.01, .global_clipnorm = 1}); },
      [] {
        return Adam({.learning_rate = 0.01, .amsgrad = true, .gradient_accumulation_steps = 2});
      },
      [] { return RMSprop({.learning_rate = 0.01, .momentum = 0.9, .weight_decay = 0.01}); },
      [] { return Nadam({.learning_rate = 0.01, .use_ema = true, .ema_momentum = 0.9}); },
      [] { return Lamb({.learning_rate = 0.01, .weight_decay = 0.01}); },
  };
  for (const auto& optimizer : optimizers)
    expect_same(train(mirrored(GetParam()), DType::kF64, optimizer),
                train(OneDeviceStrategy("cpu:0"), DType::kF64, optimizer), 1e-9);
}

TEST_P(ReplicasTest, EqualOneInSinglePrecision) {
  const auto sgd = [] { return SGD({.learning_rate = 0.1}); };
  expect_same(train(mirrored(GetParam()), DType::kF32, sgd),
              train(OneDeviceStrategy("cpu:0"), DType::kF32, sgd), 2e-6);
}

INSTANTIATE_TEST_SUITE_P(Replicas, ReplicasTest, ::testing::Values(1, 2, 3, 4));

class LogicalReplicasTest : public ::testing::Test {
 protected:
  static Strategy on(int devices, int replicas) {
    MirroredOptions options{.num_replicas = replicas, .bytes_per_pack = 200};
    for (int d = 0; d < devices; ++d) options.devices.push_back("cpu:" + std::to_string(d));
    return MirroredStrategy(options);
  }
  /// Four replicas on fewer devices have the bits of four on a device each; six have the same bits
  /// on any number.
  static void expect_same_bits(const std::function<Trained(const Strategy&)>& train_on) {
    for (const int replicas : {4, 6}) {
      const Trained want = train_on(on(4, replicas));
      for (const int devices : {1, 1, 2, 3}) {
        const Trained got = train_on(on(devices, replicas));
        for (size_t i = 0; i < want.weights.size(); ++i)
          EXPECT_TRUE(bitwise_equal(want.weights[i], got.weights[i]))
              << replicas << " on " << devices << ", weight " << i;
        EXPECT_TRUE(bitwise_equal(want.predictions, got.predictions)) << devices;
        EXPECT_EQ(want.history.history(), got.history.history()) << devices;
      }
    }
  }
  /// A model of dense layers.
  static Trained train_with(const Strategy& strategy, const Loss& loss,
                            const std::vector<Tensor>& weights) {
    set_random_seed(4);
    const Sequential model = strategy.scope([] {
      return Sequential({Input({.shape = {6}}), Dense({.units = 8, .activation = "tanh"}),
                         BatchNormalization({.synchronized = true}), Dense({.units = 3})});
    });
    model.compile({.optimizer = Adam({.learning_rate = 0.01, .global_clipnorm = 1}), .loss = loss});
    const Tensor x = waves({kRows, 6}).cast(DType::kF32), y = labels(kRows);
    const History history =
        model.fit(x, y, {.batch_size = 8, .epochs = 2, .verbose = 0, .sample_weight = weights});
    return {model.get_weights(), history, model.predict(x, {.batch_size = 8, .verbose = 0})};
  }
};

TEST_F(LogicalReplicasTest, GiveTheSameBitsOnAnyNumberOfDevicesAndTwice) {
  const auto adam = [] { return Adam({.learning_rate = 0.01}); };
  for (const bool synchronized : {false, true})
    expect_same_bits(
        [&](const Strategy& strategy) { return train(strategy, DType::kF32, adam, synchronized); });
}

TEST_F(LogicalReplicasTest, LossesThatCountOverAllReplicasGiveTheSameBits) {
  Tensor weights(DType::kF32, {kRows});
  for (int64_t i = 0; i < kRows; ++i)
    weights.data<float>()[i] = static_cast<float>(i % 4) * 0.3f;  // some rows have none
  expect_same_bits([](const Strategy& strategy) {
    return train_with(strategy,
                      SparseCategoricalCrossentropy({.from_logits = true, .ignore_class = 1}), {});
  });
  expect_same_bits([&](const Strategy& strategy) {
    return train_with(strategy,
                      SparseCategoricalCrossentropy(
                          {.from_logits = true, .reduction = "mean_with_sample_weight"}),
                      {weights});
  });
}

TEST_F(LogicalReplicasTest, BatchNormalizationAveragesTheReplicasThatHaveRows) {
  // 3 rows on 4 replicas: the last has none.
  set_random_seed(1);
  const Sequential model = mirrored(4).scope([] {
    return Sequential(
        {Input({.shape = {1}}), BatchNormalization({.momentum = 0.5}), Dense({.units = 1})});
  });
  model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse"});
  model.train_on_batch(Tensor::from<float>({1, 2, 6}, {3, 1}), Tensor(DType::kF32, {3, 1}));
  const auto moving = model.layers()[0].non_trainable_weights();
  EXPECT_NEAR(moving[0].value().item<double>(), 0.5 * 3, 1e-6);  // means 1, 2, 6
  EXPECT_NEAR(moving[1].value().item<double>(), 0.5 * 1, 1e-6);  // variances 0
}

TEST(CustomLoopTest, EqualsFitUnderEveryStrategy) {
  const Tensor x = waves({20, 6}).cast(DType::kF32), y = labels(20);
  const auto make_classifier = [] {
    return Sequential(
        {Input({.shape = {6}}), Dense({.units = 5, .activation = "tanh"}), Dense({.units = 3})});
  };
  set_random_seed(2);
  const Sequential fitted = make_classifier();
  const Loss loss = SparseCategoricalCrossentropy({.from_logits = true});
  fitted.compile({.optimizer = Adam({.learning_rate = 0.02}), .loss = loss});
  fitted.fit(x, y, {.batch_size = 8, .epochs = 2, .verbose = 0, .shuffle = false});

  for (const int replicas : {1, 2, 3}) {
    set_random_seed(2);
    const Strategy strategy = mirrored(replicas);
    const auto [model, optimizer] = strategy.scope(
        [&] { return std::pair(make_classifier(), Optimizer(Adam({.learning_rate = 0.02}))); });
    const Function step = function([&, model = model, optimizer = optimizer](Value a, Value b) {
      const Value per_example = loss.impl().call(b, model(a, {.training = true}));
      const Value value = compute_average_loss(per_example);
      const auto weights = model.trainable_weights();
      optimizer.apply_gradients(zip(gradients(value, weights), weights));
      return value;
    });
    const auto batches = strategy.experimental_distribute_dataset(
        data::Dataset::from_tensor_slices({x, y}).batch(8));
    for (int epoch = 0; epoch < 2; ++epoch) {
      auto iterator = batches.iterate({.epoch = epoch});
      while (const auto* batch = iterator.next()) strategy.run(step, {(*batch)[0], (*batch)[1]});
    }
    const auto got = model.get_weights(), want = fitted.get_weights();
    for (size_t i = 0; i < want.size(); ++i)
      expect_near(got[i], want[i], 2e-5, "weight " + std::to_string(i));
  }
}

// The cases of TensorFlow's nn_loss_scaling_utilities_test.
double average(std::vector<double> losses, std::optional<int64_t> global,
               std::vector<double> weights = {}) {
  std::vector<Tensor> arguments{Tensor::from(losses, Shape{static_cast<int64_t>(losses.size())})};
  if (!weights.empty())
    arguments.push_back(Tensor::from(weights, Shape{static_cast<int64_t>(weights.size())}));
  const auto results = run(
      [&](std::span<const Value> in) {
        AverageLossOptions options{.global_batch_size = global};
        if (in.size() > 1) options.sample_weight = in[1];
        return std::vector<Value>{compute_average_loss(in[0], options)};
      },
      arguments);
  EXPECT_EQ(results[0].dtype(), DType::kF64);
  return results[0].item<double>();
}

TEST(LossScalingTest, AveragesOverTheGlobalBatch) {
  EXPECT_NEAR(average({1, 2, 3, 4, 5}, 10), 1.5, 1e-12);
  EXPECT_NEAR(average({2.5, 6.2, 5}, {}), 13.7 / 3, 1e-12);
  EXPECT_EQ(average({1, 2}, 0), 0);
  EXPECT_EQ(average({}, {}), 0);
  EXPECT_NEAR(average({2, 4, 6}, {}, {2, 2, 2}), 8, 1e-12);
  EXPECT_NEAR(average({2, 4, 6}, {}, {0.3, 0.5, 0.2}), 3.8 / 3, 1e-12);
}

TEST(LossScalingTest, WeightsOfEachElement) {
  const auto results = run(
      [&](std::span<const Value> in) {
        return std::vector<Value>{compute_average_loss(in[0], {.sample_weight = in[1]})};
      },
      {Tensor::from<float>({2, 0.5f, 4, 1}, {2, 2}),
       Tensor::from<float>({0.3f, 0.7f, 0.2f, 0.8f}, {2, 2})});
  EXPECT_NEAR(results[0].item<double>(), 2.55 / 2, 1e-6);
}

TEST(LossScalingTest, BadArguments) {
  const auto error = [](const Function::Body& body) {
    return error_of([&] { run(body, {Tensor::scalar(1.0f)}); });
  };
  EXPECT_NE(error([](std::span<const Value> in) {
              return std::vector<Value>{compute_average_loss(in[0])};
            }).find("at least rank 1"),
            std::string::npos);
  EXPECT_NE(error([](std::span<const Value> in) {
              return std::vector<Value>{
                  compute_average_loss(ops::expand_dims(in[0], 0), {.global_batch_size = -1})};
            }).find("global_batch_size -1"),
            std::string::npos);
  EXPECT_NE(error_of([] { compute_average_loss(Value()); }).find("traced function"),
            std::string::npos);
}

TEST(LossScalingTest, SharesOfReplicasSumToTheWhole) {
  const Strategy strategy = mirrored(2);
  const Tensor losses = Tensor::from<float>({2.5f, 6.2f, 5}, {3});
  const Function step = function([](Value x) {
    return std::vector<Value>{compute_average_loss(x), scale_regularization_loss(x)};
  });
  const auto results = strategy.run(step, {losses});
  EXPECT_NEAR(strategy.reduce(distribute::ReduceOp::kSum, results[0]).item<double>(), 13.7 / 3,
              1e-5);
  EXPECT_NEAR(strategy.reduce(distribute::ReduceOp::kSum, results[1]).item<double>(), 13.7, 1e-5);
  EXPECT_NEAR(results[1][0].item<double>(), 13.7 / 2, 1e-5);
}

TEST(ApplyGradientsTest, SumsTheGradientsOfTheReplicas) {
  const Strategy strategy = mirrored(2);
  const Variable v(Tensor(DType::kF32, {2}), "v");
  const Optimizer sgd = SGD({.learning_rate = 0.1});
  const Function step = function([&](Value g) {
    sgd.apply_gradients({{Gradient(g), v}});
    return std::vector<Value>();
  });
  strategy.run(
      step, {distribute::PerReplica({Tensor::from<float>({1, 1}), Tensor::from<float>({2, 2})})});
  expect_near(v.value(), Tensor::from<float>({-0.3f, -0.3f}), 1e-6, "v");
}

}  // namespace
}  // namespace cohort::nn
