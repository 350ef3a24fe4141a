#include "cohort/core/runtime/replica_turns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "cohort/cohort.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/runtime/executable.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/trace/recorder.h"
#include "cohort/distribute/in_process_communicator.h"
#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

using testing::expect_error;

/// Replicas that take turns on fewer devices.
class ReplicaTurnsConcurrentTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(4, 1); }

  static Strategy on(int devices, int replicas) {
    MirroredOptions options{.num_replicas = replicas, .bytes_per_pack = 100};
    for (int d = 0; d < devices; ++d) options.devices.push_back("cpu:" + std::to_string(d));
    return MirroredStrategy(options);
  }
  /// Rows of each replica: 3, 1, 2, 0, …
  static PerReplica rows(const Strategy& strategy) {
    return strategy.distribute_values_from_function([](int r) {
      Tensor x(DType::kF32, Shape{(3 + 2 * r) % 4, 5});
      for (int64_t i = 0; i < x.num_elements(); ++i)
        x.data<float>()[i] = std::sin(static_cast<float>(100 * r + i));
      return x;
    });
  }
  /// The outputs of two runs, of all replicas.
  static std::vector<Tensor> run(const Strategy& strategy, const Function& step) {
    std::vector<Tensor> all;
    for (int i = 0; i < 2; ++i)
      for (const PerReplica& output : strategy.run(step, {rows(strategy)}))
        for (int r = 0; r < output.size(); ++r) all.push_back(output[r]);
    return all;
  }
  static void expect_same_on_any_devices(const Function& step) {
    for (const int replicas : {4, 7}) {
      const std::vector<Tensor> want = run(on(4, replicas), step);
      for (const int devices : {1, 2, 3}) {
        const std::vector<Tensor> got = run(on(devices, replicas), step);
        ASSERT_EQ(got.size(), want.size());
        for (size_t i = 0; i < want.size(); ++i)
          EXPECT_TRUE(bitwise_equal(got[i], want[i]))
              << replicas << " replicas on " << devices << " devices, output " << i;
      }
    }
  }
};

TEST_F(ReplicaTurnsConcurrentTest, EachReplicaGoesOnWithWhatAllOfThemMade) {
  expect_same_on_any_devices(function([](Value x) {
    const Value column = ops::reduce_sum(x, {.axis = {0}});
    const Value sum = ops::all_reduce(column, ReduceOp::kSum);
    const Value most = ops::all_reduce(column, ReduceOp::kMax);
    const Value scaled = x * sum + column;  // made before and behind the reduction
    const Value mean = ops::all_reduce(ops::reduce_sum(scaled, {.axis = {0}}), ReduceOp::kMean);
    return std::vector<Value>{
        scaled - mean, ops::exp(x), most, x, mean, ops::tanh(x) * most + ops::exp(x)};
  }));
}

TEST_F(ReplicaTurnsConcurrentTest, EachReplicaGoesOnWithWhatAllOfThemHad) {
  expect_same_on_any_devices(function([](Value x) {
    const Value all = ops::all_gather(ops::reduce_sum(x, {.axis = {0}, .keepdims = true}), 0);
    return std::vector<Value>{ops::reduce_sum(all, {.axis = {0}}) * x, all};
  }));
}

TEST_F(ReplicaTurnsConcurrentTest, AFailureInAnyTurnAndSegmentLeavesVariablesAlone) {
  const Strategy one = on(1, 4), two = on(2, 4);
  for (const Strategy& strategy : {one, two}) {
    const nn::Variable count =
        strategy.scope([] { return nn::Variable(Tensor::scalar(0.0f), "count"); });
    const Function step = function([&](Value x, Value label) {
      const Value sum = ops::all_reduce(ops::reduce_sum(x), ReduceOp::kSum);
      const Value loss =
          ops::reduce_sum(ops::sparse_softmax_cross_entropy(x * sum, label));  // may fail
      ops::assign_add(count.shared(), ops::all_reduce(loss, ReduceOp::kSum) * 0.0 + 1.0);
      return loss;
    });
    const auto run = [&](int bad) {
      const PerReplica x = strategy.distribute_values_from_function([](int) {
        return Tensor::full(DType::kF32, Shape{2, 3}, 1);
      });
      const PerReplica labels = strategy.distribute_values_from_function([&](int r) {
        return Tensor::from(std::vector<int64_t>{1, r == bad ? 9 : 2}, Shape{2});
      });
      strategy.run(step, {x, labels});
    };
    for (int bad = 0; bad < 4; ++bad) {
      run(-1);
      EXPECT_THROW(run(bad), Error) << bad;
      EXPECT_EQ(count.value().item(), bad + 1);
    }
  }
}

TEST_F(ReplicaTurnsConcurrentTest, WhatLivesOnHasMemoryOfEachReplicaAndNothingElseHas) {
  const auto bytes_of_replica = [](bool goes_on) {
    const Trace made = trace(
        [&](std::span<const Value> in) {
          const Value hidden = ops::exp(in[0]);
          Value sum = ops::all_reduce(ops::reduce_sum(ops::sin(hidden)), ReduceOp::kSum);
          if (goes_on) sum = ops::all_reduce(ops::reduce_sum(hidden * sum), ReduceOp::kSum);
          return std::vector<Value>{sum};
        },
        {{DType::kF32, Shape{50, 40}}}, "step");
    CollectivePlan plan;
    const GraphFunction planned = plan_collectives(*made.graph, made.outputs, 100, plan);
    const auto group = make_in_process_communicators({.block_sizes = {3}});
    plan.allocate(*group.front(), 3, 3, DType::kF32);
    Runtime& runtime = default_runtime();
    Device& device = runtime.device("cpu:0");
    ReplicaTurns turns(runtime, device, plan, 3,
                       fetches_of_each_replica(*planned.graph, planned.fetches));
    const size_t sums = turns.num_bytes();
    const auto executable = compile(runtime, *planned.graph, planned.fetches, {},
                                    {.device = &device, .collectives = &plan, .turns = &turns});
    EXPECT_EQ(executable->num_segments(), goes_on ? 2u : 1u);
    EXPECT_EQ(turns.num_bytes() - sums, 3 * executable->replica_bytes());
    return executable->replica_bytes();
  };
  EXPECT_EQ(bytes_of_replica(false), 0u);
  EXPECT_EQ(bytes_of_replica(true), 50u * 40 * 4);  // hidden
}

TEST_F(ReplicaTurnsConcurrentTest, CommunicationOverlapsTheLastTurn) {
  const Strategy strategy = on(2, 4);
  nn::set_random_seed(1);
  const nn::Model model = strategy.scope([] {
    nn::Sequential made({nn::Input({.shape = {5}})});
    for (int i = 0; i < 4; ++i) made.add(nn::Dense({.units = 16, .activation = "tanh"}));
    made.compile({.optimizer = "sgd", .loss = "mse"});
    return made;
  });
  const Tensor x = Tensor::full(DType::kF32, Shape{8, 5}, 1),
               y = Tensor::full(DType::kF32, Shape{8, 16}, 1);
  model.train_on_batch(x, y);
  TraceRecorder recorder;
  default_runtime().record_to(&recorder);
  model.train_on_batch(x, y);
  default_runtime().record_to(nullptr);

  std::map<std::string, std::vector<TraceEvent>> tracks;
  for (const TraceEvent& event : recorder.events()) tracks[event.track].push_back(event);
  for (const char* track : {"cpu:0", "cpu:1"}) {
    const auto found = std::find_if(tracks.begin(), tracks.end(), [&](const auto& entry) {
      std::string name = entry.first;
      std::transform(name.begin(), name.end(), name.begin(), ::tolower);
      return name.find(track) != std::string::npos;
    });
    ASSERT_NE(found, tracks.end()) << track;
    std::vector<TraceEvent>& events = found->second;
    std::stable_sort(events.begin(), events.end(),
                     [](const auto& a, const auto& b) { return a.begin_ns < b.begin_ns; });
    std::map<int64_t, size_t> starts, waits;
    for (size_t i = 0; i < events.size(); ++i) {
      if (events[i].kind == TraceEvent::Kind::kStart) {
        EXPECT_TRUE(starts.emplace(events[i].bucket, i).second) << "once a step, not once a turn";
      }
      if (events[i].kind == TraceEvent::Kind::kWait) waits.emplace(events[i].bucket, i);
    }
    ASSERT_GE(starts.size(), 4u);
    ASSERT_EQ(starts.size(), waits.size());
    size_t first = events.size(), last = 0;
    for (const auto& [bucket, at] : starts) {
      first = std::min(first, at);
      last = std::max(last, at);
    }
    // Between the first start and the last, the replica computes gradients; nobody waits before.
    const auto computes = std::count_if(
        events.begin() + static_cast<int64_t>(first), events.begin() + static_cast<int64_t>(last),
        [](const TraceEvent& event) { return event.op.find("MatMul") != std::string::npos; });
    EXPECT_GE(computes, 3) << track;
    for (const auto& [bucket, at] : waits) EXPECT_GT(at, last) << "bucket " << bucket;
  }
}

TEST_F(ReplicaTurnsConcurrentTest, ACutOnSeveralDevicesIsNamed) {
  const Function step = function([](Value x) {
    const Value sum = ops::all_reduce(ops::reduce_sum(x), ReduceOp::kSum);
    const DeviceScope elsewhere("cpu:3");
    return ops::exp(x * sum);
  });
  const Strategy strategy = on(1, 2);
  expect_error(Code::kUnimplemented, {"Mul", "2 devices", "several replicas"},
               [&] { strategy.run(step, {rows(strategy)}); });
}

}  // namespace
}  // namespace cohort::distribute
