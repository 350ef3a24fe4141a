#include "cohort/distribute/mirrored_strategy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/random.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/softmax.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/ops/update.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/replica_tree.h"
#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

constexpr int64_t kFeatures = 13, kHidden = 17, kClasses = 5;

Tensor noise(Shape shape, uint64_t seed, DType dtype) {
  Tensor t(DType::kF64, std::move(shape));
  uint64_t x = seed * 0x9E3779B97F4A7C15ull + 1;
  for (int64_t i = 0; i < t.num_elements(); ++i) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    t.data<double>()[i] = (static_cast<double>(x >> 11) / 9007199254740992.0 - 0.5) * 2;
  }
  return t.cast(dtype);
}

enum class Rule { kSgd, kMomentum, kNesterov, kAdam, kAmsgrad };

/// A two-layer classifier with dropout, trained by one optimizer; everything that differs between
/// strategies is the strategy.
struct Trainer {
  explicit Trainer(DType dtype, Rule rule = Rule::kAdam) : dtype(dtype), rule(rule) {
    const auto add = [&](const char* name, Shape shape, bool parameter) {
      Tensor start = parameter ? noise(shape, variables.size() + 1, dtype) : Tensor(dtype, shape);
      variables.push_back(std::make_shared<VariableState>(start, VariableOptions{.name = name}));
    };
    for (const bool parameter : {true, false, false, false}) {
      add("w1", Shape{kFeatures, kHidden}, parameter);
      add("b1", Shape{kHidden}, parameter);
      add("w2", Shape{kHidden, kClasses}, parameter);
      add("b2", Shape{kClasses}, parameter);
    }
    loss = std::make_shared<VariableState>(Tensor(dtype, Shape{}), VariableOptions{.name = "loss"});
    steps = std::make_shared<VariableState>(Tensor(DType::kI64, Shape{}),
                                            VariableOptions{.name = "steps"});
  }

  std::vector<Value> step(std::span<const Value> in) {
    Graph& graph = in[0].graph();
    std::vector<Value> p;
    for (int i = 0; i < 4; ++i) p.push_back(graph.read(variables[i]));
    const Value hidden = ops::dropout(ops::relu(ops::matmul(in[0], p[0]) + p[1]), 0.3);
    const Value per_row =
        ops::sparse_softmax_cross_entropy(ops::matmul(hidden, p[2]) + p[3], in[1]);
    const Value mean =
        ops::reduce_sum(per_row) / ops::cast(ops::step_info(ops::StepField::kGlobalRows), dtype);
    std::vector<Value> reduce{mean};
    for (const Gradient& g : gradients(mean, p)) reduce.push_back(g.dense());
    reduce = ops::all_reduce(reduce, ops::ReduceOp::kSum);
    const Value number = graph.read(steps) + ops::constant(Tensor::scalar(int64_t{1}));
    update(std::span(reduce).subspan(1), number);
    ops::assign(loss, reduce[0]);
    ops::assign(steps, number);
    return {};
  }

  ops::Variables section(int i) const {
    return {variables.begin() + 4 * i, variables.begin() + 4 * (i + 1)};
  }

  void update(std::span<const Value> gradients, Value number) const {
    const Value rate = ops::scalar(0.01, DType::kF32),
                apply = ops::constant(Tensor::from(std::vector<bool>{true}, Shape{}));
    if (rule == Rule::kAdam || rule == Rule::kAmsgrad) {
      const bool amsgrad = rule == Rule::kAmsgrad;
      ops::adam_update(section(0), section(1), section(2), amsgrad ? section(3) : ops::Variables{},
                       gradients, rate, number, apply, {.amsgrad = amsgrad});
    } else {
      const bool plain = rule == Rule::kSgd;
      ops::sgd_update(section(0), plain ? ops::Variables{} : section(1), gradients, rate, number,
                      apply, {.momentum = plain ? 0 : 0.9, .nesterov = rule == Rule::kNesterov});
    }
  }

  /// Trains 12 steps on batches of 24 rows, the last of each four with only `tail` rows. Returns
  /// all parameters.
  std::vector<Tensor> train(const Strategy& strategy, int64_t tail) {
    const Trace t =
        trace([this](std::span<const Value> in) { return step(in); },
              {{dtype, Shape{batch_dim(), kFeatures}}, {DType::kI64, Shape{batch_dim()}}}, "train");
    const auto runner = strategy.make_runner(t, 24);
    for (int64_t s = 0; s < 12; ++s) {
      const int64_t rows = s % 4 == 3 ? tail : 24;
      Tensor labels(DType::kI64, Shape{rows});
      for (int64_t i = 0; i < rows; ++i) labels.data<int64_t>()[i] = (i * 7 + s) % kClasses;
      runner->run({noise(Shape{rows, kFeatures}, 100 + s, dtype), labels}, {.seed = 3, .step = s});
    }
    std::vector<Tensor> weights;
    for (int i = 0; i < 4; ++i) weights.push_back(variables[i]->value());
    return weights;
  }

  DType dtype;
  Rule rule;
  std::vector<std::shared_ptr<VariableState>> variables;
  std::shared_ptr<VariableState> loss, steps;
};

double largest_difference(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const Tensor x = a[i].cast(DType::kF64), y = b[i].cast(DType::kF64);
    for (int64_t k = 0; k < x.num_elements(); ++k)
      worst = std::max(worst, std::abs(x.data<double>()[k] - y.data<double>()[k]));
  }
  return worst;
}

Strategy mirrored(int devices, int replicas, CrossDeviceOps reduction = CrossDeviceOps::kAuto) {
  MirroredOptions options{
      .cross_device_ops = reduction, .num_replicas = replicas, .bytes_per_pack = 1000};
  for (int i = 0; i < devices; ++i) options.devices.push_back("cpu:" + std::to_string(i));
  return MirroredStrategy(options);
}

class MirroredStrategyConcurrentTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(4, 1); }
};

TEST_F(MirroredStrategyConcurrentTest, ReplicasEqualOneReplicaInDouble) {
  for (const Rule rule :
       {Rule::kSgd, Rule::kMomentum, Rule::kNesterov, Rule::kAdam, Rule::kAmsgrad}) {
    for (const int64_t tail : {24, 7, 2}) {
      const auto one = Trainer(DType::kF64, rule).train(OneDeviceStrategy("cpu:0"), tail);
      for (const int n : {1, 2, 3, 4})
        EXPECT_LT(largest_difference(one, Trainer(DType::kF64, rule).train(mirrored(n, n), tail)),
                  1e-9)
            << n << " replicas, rule " << static_cast<int>(rule);
    }
  }
}

TEST_F(MirroredStrategyConcurrentTest, ReplicasEqualOneReplicaInSinglePrecision) {
  const auto one = Trainer(DType::kF32, Rule::kSgd).train(OneDeviceStrategy("cpu:0"), 7);
  double largest = 0;
  for (const Tensor& w : one)
    for (const float x : w.values<float>())
      largest = std::max(largest, static_cast<double>(std::abs(x)));
  for (const int n : {1, 2, 3, 4})
    EXPECT_LE(largest_difference(one, Trainer(DType::kF32, Rule::kSgd).train(mirrored(n, n), 7)),
              1e-6 * largest)
        << n;
}

TEST_F(MirroredStrategyConcurrentTest, SameReplicasOnAnyNumberOfDevicesGiveTheSameBits) {
  for (const int replicas : {2, 3, 4, 5, 7}) {
    const auto reference = Trainer(DType::kF32).train(mirrored(1, replicas), 7);
    for (int devices = 1; devices <= std::min(replicas, 4); ++devices) {
      for (const CrossDeviceOps reduction :
           {CrossDeviceOps::kAuto, CrossDeviceOps::kReductionToOneDevice}) {
        const auto again = Trainer(DType::kF32).train(mirrored(devices, replicas, reduction), 7);
        for (size_t i = 0; i < again.size(); ++i)
          EXPECT_TRUE(bitwise_equal(reference[i], again[i]))
              << replicas << " replicas on " << devices << " devices";
      }
    }
  }
}

TEST_F(MirroredStrategyConcurrentTest, EveryDeviceHoldsTheSameVariable) {
  Trainer trainer(DType::kF32);
  trainer.train(mirrored(3, 3), 5);
  ASSERT_EQ(trainer.variables[0]->places().size(), 3u);
  for (const auto& place : trainer.variables[0]->places())
    EXPECT_TRUE(
        bitwise_equal(trainer.variables[0]->value(), trainer.variables[0]->value(*place->device)));
}

TEST_F(MirroredStrategyConcurrentTest, AnErrorOnOneReplicaStopsAllAndTheNextStepWorks) {
  Trainer trainer(DType::kF32);
  const Strategy strategy = mirrored(3, 3);
  const Trace t = trace(
      [&](std::span<const Value> in) { return trainer.step(in); },
      {{DType::kF32, Shape{batch_dim(), kFeatures}}, {DType::kI64, Shape{batch_dim()}}}, "train");
  const auto runner = strategy.make_runner(t, 6);
  const Tensor x = noise(Shape{6, kFeatures}, 1, DType::kF32);
  const std::vector<Tensor> before{trainer.variables[0]->value()};
  try {
    runner->run({x, Tensor::from(
                        {int64_t{0}, int64_t{1}, int64_t{2}, int64_t{99}, int64_t{0}, int64_t{1}})},
                {});
    FAIL() << "label 99 was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument) << error.what();
    EXPECT_NE(std::string(error.what()).find("99"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(bitwise_equal(before[0], trainer.variables[0]->value()));
  runner->run(
      {x, Tensor::from({int64_t{0}, int64_t{1}, int64_t{2}, int64_t{3}, int64_t{0}, int64_t{1}})},
      {});
  EXPECT_FALSE(bitwise_equal(before[0], trainer.variables[0]->value()));
}

/// Runs one step of `body` on two replicas; row 3, replica 1's, has a label that there is not.
template <class Body>
void expect_failing_step(Body&& body) {
  const Trace t =
      trace(body, {{DType::kF32, Shape{batch_dim(), kClasses}}, {DType::kI64, Shape{batch_dim()}}},
            "fails");
  const Strategy strategy = mirrored(2, 2);
  const auto runner = strategy.make_runner(t, 4);
  const Tensor x = noise(Shape{4, kClasses}, 1, DType::kF32);
  const auto labels = [](int64_t last) {
    return Tensor::from({int64_t{0}, int64_t{1}, int64_t{2}, last});
  };
  try {
    runner->run({x, labels(99)}, {});
    FAIL() << "label 99 was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument) << error.what();
  }
}

TEST_F(MirroredStrategyConcurrentTest, AStepWithoutReductionIsTakenByAllOrNone) {
  const auto seen = std::make_shared<VariableState>(
      Tensor::scalar(0.f), VariableOptions{.name = "seen",
                                           .synchronization = VariableSynchronization::kOnRead,
                                           .aggregation = VariableAggregation::kSum});
  expect_failing_step([&](std::span<const Value> in) {
    ops::assign_add(seen, ops::reduce_sum(ops::sparse_softmax_cross_entropy(in[0], in[1])));
    return std::vector<Value>{};
  });
  EXPECT_EQ(seen->places().size(), 2u);
  for (const auto& place : seen->places())
    EXPECT_EQ(seen->value(*place->device).item<float>(), 0) << place->device->name().to_string();
}

TEST_F(MirroredStrategyConcurrentTest, AFailureBehindTheLastReductionStopsAllReplicas) {
  const auto sum =
      std::make_shared<VariableState>(Tensor::scalar(0.f), VariableOptions{.name = "sum"});
  const auto seen = std::make_shared<VariableState>(
      Tensor::scalar(0.f), VariableOptions{.name = "seen",
                                           .synchronization = VariableSynchronization::kOnRead,
                                           .aggregation = VariableAggregation::kSum});
  expect_failing_step([&](std::span<const Value> in) {
    ops::assign(sum, ops::all_reduce(ops::reduce_sum(in[0]), ops::ReduceOp::kSum));
    ops::assign_add(seen, ops::reduce_sum(ops::sparse_softmax_cross_entropy(in[0], in[1])));
    return std::vector<Value>{};
  });
  for (const auto& place : sum->places())
    EXPECT_EQ(sum->value(*place->device).item<float>(), 0) << place->device->name().to_string();
}

TEST_F(MirroredStrategyConcurrentTest, RefusesWhatCannotBe) {
  EXPECT_THROW(MirroredStrategy({.devices = {"cpu:0", "cpu:0"}}), Error);
  EXPECT_THROW(MirroredStrategy({.devices = {"cpu:9"}}), Error);
  EXPECT_THROW(MirroredStrategy({.devices = {"cpu:0", "cpu:1"}, .num_replicas = 1}), Error);
  EXPECT_THROW(MirroredStrategy({.devices = {"cpu:0"}, .cross_device_ops = CrossDeviceOps::kNccl}),
               Error);
}

TEST_F(MirroredStrategyConcurrentTest, AMeshHasTheReplicasAsRanks) {
  const std::vector<std::string> devices{"cpu:0", "cpu:1"};
  EXPECT_EQ(MirroredStrategy({.devices = devices, .mesh = {{"data", 6}}}).num_replicas_in_sync(),
            6);
  MirroredStrategy({.devices = devices, .num_replicas = 4, .mesh = {{"data", 4}}});
  const auto expect_refused = [&](Code code, std::initializer_list<std::string_view> words,
                                  int replicas, const std::vector<MeshAxis>& mesh) {
    testing::expect_error(code, words, [&] {
      MirroredStrategy({.devices = devices, .num_replicas = replicas, .mesh = mesh});
    });
  };
  expect_refused(Code::kInvalidArgument, {"a mesh of 6 (data 6)", "4 replicas"}, 4, {{"data", 6}});
  expect_refused(Code::kInvalidArgument, {"1 replicas for 2 devices"}, 0, {{"data", 1}});
  expect_refused(Code::kInvalidArgument, {"0 ranks on axis data"}, 0, {{"data", 0}});
  expect_refused(Code::kInvalidArgument, {"the axis data twice"}, 0, {{"data", 2}, {"data", 2}});
  expect_refused(Code::kUnimplemented, {"the axis model", "data alone"}, 0,
                 {{"data", 2}, {"model", 2}});
}

TEST_F(MirroredStrategyConcurrentTest, DevicesOfAStrategyCannotBeReplaced) {
  const Strategy strategy = OneDeviceStrategy("cpu:0");
  EXPECT_THROW(default_runtime().set_logical_cpu_devices(2, 1), Error);
  EXPECT_EQ(strategy.devices(),
            (std::vector<std::string>{"/job:localhost/replica:0/task:0/device:CPU:0"}));
}

TEST(ReplicaTreeTest, BlocksAreSubtreesAndCombineInTreeOrder) {
  EXPECT_EQ(split_into_blocks(4, 3), (std::vector<int>{1, 1, 2}));
  EXPECT_EQ(split_into_blocks(7, 2), (std::vector<int>{4, 3}));
  EXPECT_EQ(combine_order({2, 1, 1}), (std::vector<std::pair<int, int>>{{1, 2}, {0, 1}}));
  EXPECT_THROW(split_into_blocks(2, 3), Error);
}

}  // namespace
}  // namespace cohort::distribute
