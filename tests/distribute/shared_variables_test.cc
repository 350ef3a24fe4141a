#include <gtest/gtest.h>

#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/mirrored_strategy.h"

/// Variables that steps of several strategies use in turn: none works with what is out of date.
namespace cohort::distribute {
namespace {

using Shared = std::shared_ptr<VariableState>;

class SharedVariableConcurrentTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(4, 1); }

  static Shared variable(float value, VariableOptions options = {.name = "v"}) {
    return std::make_shared<VariableState>(Tensor::scalar(value), std::move(options));
  }
  static Function adding(const Shared& v, double number) {
    return function([v, number](std::vector<Value>) {
      ops::assign_add(v, ops::scalar(number, DType::kF32));
      return std::vector<Value>{};
    });
  }
  static Function reading(const Shared& v) {
    return function(
        [v](std::vector<Value>) { return std::vector<Value>{require_graph("test").read(v)}; });
  }
  static std::vector<double> read(const Strategy& strategy, const Function& reader) {
    const std::vector<PerReplica> outputs = strategy.run(reader, {});
    std::vector<double> values;
    for (const Tensor& value : outputs[0].values()) values.push_back(value.item());
    return values;
  }
  using Values = std::vector<double>;

  const Strategy two_ = MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
  const Strategy first_ = OneDeviceStrategy("cpu:0"), third_ = OneDeviceStrategy("cpu:2");
};

TEST_F(SharedVariableConcurrentTest, EveryStepGoesOnFromTheOneBefore) {
  const Shared v = variable(0);
  const Function one = adding(v, 1), ten = adding(v, 10), hundred = adding(v, 100),
                 thousand = adding(v, 1000);
  double sum = 0;
  for (int round = 0; round < 3; ++round) {
    two_.run(one, {});
    first_.run(ten, {});
    third_.run(hundred, {});
    thousand(std::span<const Tensor>());  // on cpu:0, as one replica
    EXPECT_EQ(v->value().item(), sum += 1111);
    for (const auto& place : v->places()) EXPECT_EQ(v->value(*place->device).item(), sum);
  }
}

TEST_F(SharedVariableConcurrentTest, ReadersSeeWhatOthersHaveWritten) {
  const Shared v = variable(0);
  const Function one = adding(v, 1), ten = adding(v, 10), reader = reading(v);
  EXPECT_EQ(read(two_, reader), (Values{0, 0}));
  third_.run(one, {});
  EXPECT_EQ(read(two_, reader), (Values{1, 1}));
  for (int i = 0; i < 5; ++i) third_.run(one, {});  // steady
  EXPECT_EQ(read(two_, reader), (Values{6, 6}));
  EXPECT_EQ(read(first_, reader), Values{6});
  two_.run(ten, {});
  EXPECT_EQ(read(third_, reader), Values{16});
  EXPECT_EQ(reader(std::span<const Tensor>())[0].item(), 16);
}

TEST_F(SharedVariableConcurrentTest, AnAssignmentReachesThemAll) {
  const Shared v = variable(0);
  const Function one = adding(v, 1), reader = reading(v);
  two_.run(one, {});
  third_.run(one, {});
  v->assign(Tensor::scalar(5.f));
  EXPECT_EQ(read(two_, reader), (Values{5, 5}));
  third_.run(one, {});  // it was the last on its device, and writes again
  EXPECT_EQ(read(two_, reader), (Values{6, 6}));
  v->assign(*v->places().front()->device, Tensor::scalar(7.f));
  EXPECT_EQ(v->value().item(), 7);
}

TEST_F(SharedVariableConcurrentTest, WhatReplicasHoldOfTheirOwnIsSharedOutAnew) {
  const Shared v = variable(0, {.name = "v",
                                .synchronization = VariableSynchronization::kOnRead,
                                .aggregation = VariableAggregation::kSum});
  const Function one = adding(v, 1);
  two_.run(one, {});  // 1 on each of two
  EXPECT_EQ(v->value().item(), 2);
  third_.run(one, {});
  EXPECT_EQ(v->value().item(), 3);
  two_.run(one, {});  // 1.5 + 1 on each
  EXPECT_EQ(v->value().item(), 5);
  const Shared none = variable(0, {.name = "own",
                                   .synchronization = VariableSynchronization::kOnRead,
                                   .aggregation = VariableAggregation::kNone});
  const Function own = adding(none, 1);
  two_.run(own, {});
  EXPECT_THROW(third_.run(own, {}), Error) << "there is no one value to go on from";
}

TEST_F(SharedVariableConcurrentTest, AVariableOfAJobIsWrittenByItsStepsAlone) {
  const Shared v = variable(3);
  const Function one = adding(v, 1), reader = reading(v);
  first_.run(one, {});
  auto job = std::make_shared<const std::string>("SomeStrategy");
  v->belong_to(job);
  try {
    first_.run(one, {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kFailedPrecondition);
    EXPECT_NE(std::string(error.what()).find("variable v: "), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("SomeStrategy"), std::string::npos) << error.what();
  }
  EXPECT_THROW(one(std::span<const Tensor>()), Error);
  EXPECT_EQ(read(first_, reader), Values{4});
  job.reset();
  first_.run(one, {});
  EXPECT_EQ(v->value().item(), 5);
}

/// What strategies keep of functions that are gone.
TEST_F(SharedVariableConcurrentTest, AFunctionIsNotKeptAliveByTheStrategiesThatRanIt) {
  const auto captured = std::make_shared<int>(1);
  for (int i = 0; i < 3; ++i)
    two_.run(function([captured](std::vector<Value>) { return std::vector<Value>{}; }), {});
  EXPECT_EQ(captured.use_count(), 1);
}

}  // namespace
}  // namespace cohort::distribute
