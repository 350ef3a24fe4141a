#include <gtest/gtest.h>

#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/ops/update.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/context.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "cohort/nn/variable.h"
#include "tests/support/expect_error.h"

/// TensorFlow's cases of variables written inside a step, on two replicas r = 0, 1.
namespace cohort::distribute {
namespace {

using Sync = VariableSynchronization;
using Aggregation = VariableAggregation;

class DistributedVariableConcurrentTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(4, 1); }

  static std::shared_ptr<VariableState> variable(Aggregation aggregation,
                                                 Sync sync = Sync::kOnWrite) {
    return std::make_shared<VariableState>(
        Tensor::scalar(0.f),
        VariableOptions{.name = "v", .synchronization = sync, .aggregation = aggregation});
  }
  using Write = Node* (*)(const std::shared_ptr<VariableState>&, Value);
  /// Writes value(r) on every replica.
  void write(const std::shared_ptr<VariableState>& v, Write op,
             const std::function<Value(Value)>& value) const {
    const Function step = function([&](std::vector<Value>) {
      op(v, value(ops::cast(get_replica_context().replica_id_in_sync_group(), DType::kF32)));
      return std::vector<Value>{};
    });
    strategy_.run(step, {});
  }
  std::vector<float> copies(const VariableState& v) const {
    std::vector<float> values;
    for (const auto& place : v.places()) values.push_back(v.value(*place->device).item());
    return values;
  }
  static Value two(Value) { return ops::scalar(2, DType::kF32); }
  static Value id(Value r) { return r; }

  const Strategy strategy_ = MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
};

using Copies = std::vector<float>;

TEST_F(DistributedVariableConcurrentTest, PerReplicaValuesAreAggregatedBeforeTheyAreWritten) {
  const std::vector<std::pair<Aggregation, float>> cases{
      {Aggregation::kSum, 4.f}, {Aggregation::kMean, 2.f}, {Aggregation::kOnlyFirstReplica, 2.f}};
  for (const auto& [aggregation, expected] : cases) {
    const auto v = variable(aggregation);
    write(v, ops::assign, two);
    EXPECT_EQ(copies(*v), (Copies{expected, expected}));
    write(v, ops::assign_add, two);
    EXPECT_EQ(copies(*v), (Copies{2 * expected, 2 * expected}));
    write(v, ops::assign_sub, two);
    EXPECT_EQ(copies(*v), (Copies{expected, expected}));
  }
}

TEST_F(DistributedVariableConcurrentTest, OnlyTheFirstReplicasValueCounts) {
  const auto v = variable(Aggregation::kOnlyFirstReplica);
  write(v, ops::assign, [](Value r) { return r + 5.0; });
  EXPECT_EQ(copies(*v), (Copies{5, 5}));
}

TEST_F(DistributedVariableConcurrentTest, AssignmentOutsideOfAStepReachesEveryCopy) {
  const auto v = variable(Aggregation::kMean);
  write(v, ops::assign, two);
  v->assign(Tensor::scalar(7.f));
  EXPECT_EQ(copies(*v), (Copies{7, 7}));
}

TEST_F(DistributedVariableConcurrentTest, OnReadVariablesAreAggregatedWhenRead) {
  const std::vector<std::pair<Aggregation, float>> cases{
      {Aggregation::kSum, 1.f}, {Aggregation::kMean, 0.5f}, {Aggregation::kOnlyFirstReplica, 0.f}};
  for (const auto& [aggregation, expected] : cases) {
    const auto v = variable(aggregation, Sync::kOnRead);
    write(v, ops::assign, id);
    EXPECT_EQ(copies(*v), (Copies{0, 1}));
    EXPECT_EQ(v->value().item(), expected);
  }
  const auto none = variable(Aggregation::kNone, Sync::kOnRead);
  write(none, ops::assign, id);
  EXPECT_THROW(none->value(), Error);
}

TEST_F(DistributedVariableConcurrentTest, IntegersHaveNoMean) {
  try {
    const VariableOptions options{.name = "count", .aggregation = Aggregation::kMean};
    VariableState(Tensor::scalar<int64_t>(0), options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "variable count: got aggregation MEAN for int64; want a floating dtype");
  }
}

TEST_F(DistributedVariableConcurrentTest, AssigningASummedOnReadVariableGivesEachCopyItsShare) {
  const auto v = variable(Aggregation::kSum, Sync::kOnRead);
  write(v, ops::assign, id);
  v->assign(Tensor::scalar(2.f));
  EXPECT_EQ(copies(*v), (Copies{1, 1}));
  EXPECT_EQ(v->value().item(), 2);
}

TEST_F(DistributedVariableConcurrentTest, AssignedBeforeItsFirstStepItReadsTheSameAfterwards) {
  const std::vector<std::pair<Aggregation, Copies>> cases{{Aggregation::kSum, {1, 2}},
                                                          {Aggregation::kMean, {2, 3}},
                                                          {Aggregation::kOnlyFirstReplica, {2, 3}}};
  for (const auto& [aggregation, expected] : cases) {
    const auto v = variable(aggregation, Sync::kOnRead);
    v->assign(Tensor::scalar(2.f));
    EXPECT_EQ(v->value().item(), 2);
    write(v, ops::assign_add, [](Value r) { return r * 0.0; });
    EXPECT_EQ(v->value().item(), 2);
    write(v, ops::assign_add, id);
    EXPECT_EQ(copies(*v), expected);
  }
}

TEST_F(DistributedVariableConcurrentTest, WhatAnIntegerSumLeavesOverIsOfTheFirstCopies) {
  constexpr int64_t kLarge = (int64_t{1} << 53) + 1;  // no double
  const auto v = std::make_shared<VariableState>(
      Tensor::scalar<int64_t>(0),
      VariableOptions{
          .name = "n", .synchronization = Sync::kOnRead, .aggregation = Aggregation::kSum});
  const Function one = function([&](std::vector<Value>) {
    ops::assign_add(v, ops::constant(Tensor::scalar<int64_t>(1)));
    return std::vector<Value>{};
  });
  for (const int64_t value : {kLarge, int64_t{5}, int64_t{-5}, int64_t{0}}) {
    v->assign(Tensor::scalar(value));
    EXPECT_EQ(v->value().item<int64_t>(), value);
    strategy_.run(one, {});
    EXPECT_EQ(v->value().item<int64_t>(), value + 2);
  }
  v->assign(Tensor::scalar<int64_t>(-5));
  EXPECT_EQ(copies(*v), (Copies{-3, -2}));
}

TEST_F(DistributedVariableConcurrentTest, TheFirstReplicaIsTheFirstOfTheStepThatWrote) {
  const auto v = variable(Aggregation::kOnlyFirstReplica, Sync::kOnRead);
  const Function zero = function([&](std::vector<Value>) {
    ops::assign(v, ops::scalar(0, DType::kF32));
    return std::vector<Value>{};
  });
  OneDeviceStrategy("cpu:1").run(zero, {});  // its place is there before that of cpu:0
  write(v, ops::assign, [](Value r) { return r + 5.0; });
  EXPECT_EQ(v->value().item(), 5);
}

TEST_F(DistributedVariableConcurrentTest, ACopyOfTheValueIsThatOfAllReplicas) {
  const auto v = variable(Aggregation::kSum, Sync::kOnRead);
  write(v, ops::assign, [](Value r) { return r + 5.0; });
  float sum = 0;
  v->copy_value(&sum);
  EXPECT_EQ(sum, 11);
}

TEST_F(DistributedVariableConcurrentTest,
       AVariableOfAModelStartsOnEveryReplicaWithItsInitialValue) {
  const std::vector<std::pair<Aggregation, float>> cases{
      {Aggregation::kSum, 6.f}, {Aggregation::kMean, 3.f}, {Aggregation::kOnlyFirstReplica, 3.f}};
  for (const auto& [aggregation, expected] : cases) {
    const VariableOptions options{.name = "v",
                                  .trainable = false,
                                  .synchronization = Sync::kOnRead,
                                  .aggregation = aggregation};
    const nn::Variable v =
        strategy_.scope([&] { return nn::Variable(Tensor::scalar(3.f), options); });
    EXPECT_EQ(v.value().item(), expected);
    write(v.shared(), ops::assign_add, id);
    EXPECT_EQ(copies(v.impl()), (Copies{3, 4}));
    EXPECT_EQ(nn::Variable(Tensor::scalar(3.f), options).value().item(), 3) << "one replica";
  }
  testing::expect_error(Code::kInvalidArgument, {"variable v: got trainable", "ON_READ"}, [] {
    nn::Variable(Tensor::scalar(3.f), {.name = "v", .synchronization = Sync::kOnRead});
  });
}

/// The copies of two workers with two devices each, as the second sees them. The first's are 1, 2.
class SecondWorker final : public ReplicaCopies {
 public:
  int num_copies() const override { return 4; }
  int first_copy() const override { return 2; }
  const std::vector<Device*>& devices() const override { return devices_; }
  std::vector<Tensor> gather(const std::string& variable,
                             const std::vector<Tensor>& mine) override {
    EXPECT_EQ(variable, "v");
    std::vector<Tensor> all{Tensor::scalar(1.f), Tensor::scalar(2.f)};
    all.insert(all.end(), mine.begin(), mine.end());
    return all;
  }

 private:
  const std::vector<Device*> devices_{&default_runtime().device("cpu:0"),
                                      &default_runtime().device("cpu:1")};
};

TEST_F(DistributedVariableConcurrentTest, InAJobAReadIsOverTheReplicasOfAllProcesses) {
  const std::vector<std::pair<Aggregation, std::vector<float>>> cases{
      {Aggregation::kSum, {2, 2, 7}},                // 8 in four shares; 1 + 2 + 2 + 2
      {Aggregation::kMean, {8, 8, 4.75}},            // 8 each; (1 + 2 + 8 + 8) / 4
      {Aggregation::kOnlyFirstReplica, {8, 8, 1}}};  // the first worker's
  const auto job = std::make_shared<const std::string>("SomeStrategy");
  for (const auto& [aggregation, expected] : cases) {
    auto workers = std::make_shared<SecondWorker>();
    const auto v = variable(aggregation, Sync::kOnRead);
    v->belong_to(job, workers);
    v->assign(Tensor::scalar(8.f));
    EXPECT_EQ(v->value().item(), 8) << "before a step every process has the value";
    {
      const DeviceTurn turn(workers->devices());
      v->prepare_for(workers->devices(), true);
    }
    EXPECT_EQ(copies(*v), (Copies{expected[0], expected[1]}));
    EXPECT_EQ(v->value().item(), expected[2]);
    v->assign(Tensor::scalar(4.f));
    const float each = aggregation == Aggregation::kSum ? 1.f : 4.f;
    EXPECT_EQ(copies(*v), (Copies{each, each}));
    workers.reset();
    testing::expect_error(Code::kFailedPrecondition, {"variable v", "ON_READ", "assigned anew"},
                          [&] { v->value(); });
    v->assign(Tensor::scalar(6.f));
    EXPECT_EQ(v->value().item(), 6) << "of this process alone";
  }
}

TEST_F(DistributedVariableConcurrentTest, AStepElsewhereCannotTakeWhatOtherProcessesHold) {
  const auto workers = std::make_shared<SecondWorker>();
  const auto v = variable(Aggregation::kMean, Sync::kOnRead);
  v->belong_to(std::make_shared<const std::string>("SomeStrategy"), workers);
  std::vector<Device*> devices = workers->devices();
  devices.push_back(&default_runtime().device("cpu:2"));
  const DeviceTurn turn(devices);
  v->prepare_for(workers->devices(), true);
  testing::expect_error(Code::kFailedPrecondition, {"variable v", "ON_READ"}, [&] {
    v->prepare_for(std::span<Device* const>(devices).subspan(2), false);
  });
}

TEST_F(DistributedVariableConcurrentTest, AnUnreducedValueForASharedVariableIsRefused) {
  const auto v = variable(Aggregation::kNone);
  EXPECT_THROW(write(v, ops::assign, id), Error);
  EXPECT_EQ(v->value().item(), 0);
  const Function step = function([&](Value x) { ops::assign(v, x); });
  strategy_.run(step, {Tensor::scalar(3.f)});
  EXPECT_EQ(copies(*v), (Copies{3, 3})) << "one value for all replicas";
  EXPECT_THROW(strategy_.run(step, {PerReplica({Tensor::scalar(3.f), Tensor::scalar(4.f)})}),
               Error);
}

TEST_F(DistributedVariableConcurrentTest, OptimizersSumGradientsOfReplicas) {
  const auto v =
      std::make_shared<VariableState>(Tensor::from({0.f, 0.f}), VariableOptions{.name = "v"});
  const Function step = function([&](Value g) {
    g.graph().read(v);
    const Value sum = get_replica_context().all_reduce(ReduceOp::kSum, g);
    ops::sgd_update({v}, {}, std::vector<Value>{sum}, ops::scalar(0.1, DType::kF32),
                    ops::scalar(1, DType::kI64),
                    ops::constant(Tensor::from(std::vector<bool>{true}, Shape{})), {});
  });
  strategy_.run(step, {strategy_.distribute_values_from_function([](int r) {
                  return Tensor::from({r + 1.f, r + 1.f});
                })});
  for (const auto& place : v->places()) {
    const Tensor copy = v->value(*place->device);
    EXPECT_NEAR(copy.values<float>()[0], -0.3, 1e-6);
    EXPECT_NEAR(copy.values<float>()[1], -0.3, 1e-6);
  }
}

}  // namespace
}  // namespace cohort::distribute
