// Steps of several ranks on devices that record, and that take note of bad data instead of
// throwing.
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/register.h"
#include "cohort/core/ops/softmax.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/ops/update.h"
#include "cohort/core/runtime/function.h"
#include "cohort/core/runtime/recently_used.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/in_process_communicator.h"
#include "cohort/distribute/replica_runner.h"
#include "cohort/distribute/step_recording.h"
#include "cohort/distribute/workers.h"
#include "cohort/kernels/cpu/register.h"
#include "tests/support/expect_error.h"
#include "tests/support/fake_gpu.h"
#include "tests/support/thread_workers.h"

namespace cohort::distribute {
namespace {

using testing::FakeGpu;

constexpr int64_t kColumns = 3, kNumLabels = 4;

/// A linear classifier trained by SGD, with one replica, or `each`, on each of some fake GPUs.
/// Output 0 of a step is the replica's mean loss. `scales`: by a sum over all replicas' logits.
struct Ranks {
  Ranks(int num_devices, int64_t batch_size, int each = 1, bool scales = false) : scales(scales) {
    ops::register_ops(runtime.ops());
    cpu::register_cpu_kernels(runtime.kernels());
    testing::register_fake_gpu_kernels(runtime.kernels(), runtime.ops().names());
    for (int i = 0; i < num_devices; ++i) {
      auto device = std::make_unique<FakeGpu>(i);
      gpus.push_back(device.get());
      runtime.add_device(std::move(device));
    }
    weights = std::make_shared<VariableState>(Tensor(DType::kF32, Shape{kColumns, kNumLabels}),
                                              VariableOptions{.name = "w"});
    ReplicaPart part{.devices = {gpus.begin(), gpus.end()},
                     .blocks = std::vector<int>(gpus.size(), each),
                     .num_replicas = num_devices * each,
                     .turns = each > 1 ? Turns::kExchangeOnce : Turns::kNone};
    group = std::make_unique<StepGroup>(
        [this, part] {
          auto ranks = testing::on_fake_gpus(
              make_in_process_communicators({.block_sizes = part.blocks}), part.devices, meetings);
          communicator = ranks.front().get();
          return ranks;
        },
        workers);
    runner = make_replica_runner(runtime, make_trace(), part, *group, batch_size, workers);
  }

  Trace make_trace() {
    Trace made{.graph = std::make_shared<Graph>(runtime.ops()), .outputs = {}};
    const GraphScope scope(*made.graph);
    const Value x = made.graph->placeholder("x", {DType::kF32, Shape{batch_dim(), kColumns}});
    const Value labels = made.graph->placeholder("labels", {DType::kI64, Shape{batch_dim()}});
    const Value w = made.graph->read(weights);
    Value logits = ops::matmul(x, w);
    if (scales)
      logits = logits * ops::stop_gradient(
                            ops::all_reduce(ops::reduce_sum(logits), ops::ReduceOp::kSum) + 1.0);
    const Value loss = ops::reduce_sum(ops::sparse_softmax_cross_entropy(logits, labels));
    std::vector<Value> sums;
    for (const Gradient& g : gradients(loss, std::vector<Value>{w})) sums.push_back(g.dense());
    sums = ops::all_reduce(sums, ops::ReduceOp::kSum);
    ops::sgd_update({weights}, {}, sums, ops::scalar(0.1, DType::kF32),
                    ops::constant(Tensor::scalar(int64_t{1})),
                    ops::constant(Tensor::from(std::vector<bool>{true}, Shape{})), {});
    made.outputs = {loss};
    return made;
  }

  /// One step; row `bad` has a label that there is not.
  void run(int64_t rows, int64_t bad = -1) {
    Tensor x(DType::kF32, Shape{rows, kColumns}), labels(DType::kI64, Shape{rows});
    for (int64_t i = 0; i < x.num_elements(); ++i)
      x.data<float>()[i] = static_cast<float>((i * 7 + step) % 11) / 11;
    for (int64_t i = 0; i < rows; ++i)
      labels.data<int64_t>()[i] = i == bad ? 99 : (i + step) % kNumLabels;
    runner->run({x, labels}, {.seed = 1, .step = step++});
  }

  std::vector<Tensor> values() const {
    std::vector<Tensor> all;
    for (const FakeGpu* gpu : gpus) all.push_back(weights->value(*gpu));
    return all;
  }
  void expect_all_equal(const Tensor& want) const {
    for (const Tensor& value : values()) EXPECT_TRUE(bitwise_equal(value, want));
  }

  const bool scales;
  Runtime runtime;
  std::vector<FakeGpu*> gpus;
  testing::MeetingsOfRanks meetings;
  Workers workers;
  std::shared_ptr<VariableState> weights;
  std::unique_ptr<StepGroup> group;
  std::unique_ptr<StepRunner> runner;
  Communicator* communicator = nullptr;  ///< of rank 0
  int64_t step = 0;
};

TEST(RecordingRanksConcurrentTest, RanksRecordAndReplayTogetherWhateverTheirRows) {
  Ranks ranks(8, 8);
  for (int epoch = 0; epoch < 4; ++epoch) {
    ranks.run(8);
    ranks.run(3);  // rows 1 1 1 0 0 0 0 0: the first three replicas have run one row before
  }
  EXPECT_EQ(ranks.meetings.num_unlike(), 0);
  EXPECT_GT(ranks.meetings.num_replayed(), 0);
  for (const FakeGpu* gpu : ranks.gpus) EXPECT_EQ(gpu->replays, 6);
  ranks.expect_all_equal(ranks.weights->value());
}

TEST(RecordingRanksConcurrentTest, RecordedStepsComputeWhatOthersDo) {
  Ranks recorded(4, 8), plain(4, 8);
  plain.gpus[0]->recording_fails = "not wanted";
  for (int i = 0; i < 6; ++i) {
    recorded.run(8);
    plain.run(8);
  }
  EXPECT_EQ(recorded.gpus[0]->replays, 5);
  EXPECT_EQ(plain.gpus[0]->replays, 0);
  EXPECT_TRUE(bitwise_equal(recorded.weights->value(), plain.weights->value()));
}

TEST(RecordingRanksConcurrentTest, ReplicasThatTakeTurnsReplayWhatLiesBetweenCollectives) {
  for (const bool scales : {false, true}) {
    Ranks turns(2, 8, 2, scales), apart(4, 8, 1, scales);
    for (int i = 0; i < 6; ++i) {
      for (const int64_t rows : {8, 5}) {  // of the replicas: 2 2 2 2, then 2 2 1 0
        turns.run(rows);
        apart.run(rows);
        for (int r = 0; r < 4; ++r)
          EXPECT_TRUE(bitwise_equal(turns.runner->output(r, 0), apart.runner->output(r, 0)));
      }
    }
    EXPECT_EQ(turns.meetings.num_unlike(), 0);
    EXPECT_EQ(turns.meetings.num_replayed(), 0);
    for (const FakeGpu* gpu : turns.gpus) EXPECT_GE(gpu->replays, 20);
    turns.expect_all_equal(apart.weights->value());
    turns.run(8, 3);  // replica 1's, of the first device
    testing::expect_error(Code::kInvalidArgument, {"99"},
                          [&] { (void)turns.runner->output(0, 0); });
    turns.expect_all_equal(apart.weights->value());
  }
}

TEST(RecordingRanksConcurrentTest, ARankThatCannotRecordKeepsAllFromIt) {
  Ranks ranks(3, 6);
  ranks.gpus[2]->recording_fails = "no room for a graph";
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 4; ++i) ranks.run(6);
  const std::string said = ::testing::internal::GetCapturedStderr();
  const size_t at = said.find("no room for a graph");
  EXPECT_NE(at, std::string::npos) << said;
  EXPECT_EQ(said.find("no room for a graph", at + 1), std::string::npos) << said;
  for (const FakeGpu* gpu : ranks.gpus) {
    EXPECT_EQ(gpu->recordings, 1);
    EXPECT_EQ(gpu->replays, 0);
    EXPECT_EQ(*gpu->live_recordings, 0);
  }
  EXPECT_EQ(ranks.meetings.num_unlike(), 0);
}

TEST(RecordingRanksConcurrentTest, BadDataOfOneReplicaLeavesTheVariablesOfAll) {
  Ranks ranks(2, 4);
  for (const int good_steps : {0, 1, 3}) {
    SCOPED_TRACE(good_steps);
    for (int i = 0; i < good_steps; ++i) ranks.run(4);
    const Tensor before = ranks.weights->value();
    ranks.run(4, 3);  // replica 1's
    ranks.run(4);     // nobody has looked yet
    // Replica 0 knows only that there is something.
    testing::expect_error(Code::kInvalidArgument, {"99"},
                          [&] { (void)ranks.runner->output(0, 0); });
    ranks.expect_all_equal(before);
    ranks.run(4);
    EXPECT_FALSE(bitwise_equal(ranks.weights->value(), before));
    ranks.expect_all_equal(ranks.weights->value());
    (void)ranks.runner->output(1, 0);
  }
}

TEST(RecordingRanksConcurrentTest, AFailedStepDropsRecordingsAndGoodOnesFollow) {
  Ranks ranks(3, 6);
  for (int i = 0; i < 4; ++i) ranks.run(6);
  EXPECT_EQ(*ranks.gpus[0]->live_recordings, 1);
  const Tensor before = ranks.weights->value();
  ranks.communicator->abort(Unavailable("the link is gone"));
  testing::expect_error(Code::kUnavailable, {"the link is gone"}, [&] { ranks.run(6); });
  for (const FakeGpu* gpu : ranks.gpus) EXPECT_EQ(*gpu->live_recordings, 0);
  ranks.expect_all_equal(before);
  for (int i = 0; i < 3; ++i) ranks.run(6);
  EXPECT_FALSE(bitwise_equal(ranks.weights->value(), before));
  ranks.expect_all_equal(ranks.weights->value());
  EXPECT_EQ(*ranks.gpus[0]->live_recordings, 1);
  EXPECT_EQ(ranks.meetings.num_unlike(), 0);
}

TEST(StepRecordingTest, AStepIsRecordedOnceAllRanksHaveRunIt) {
  Workers alone;
  StepRecording recording(alone);
  const std::vector<int64_t> full{32, 32}, last{32, 0};
  EXPECT_FALSE(recording.may_record(full));
  recording.note_run(full, false);
  EXPECT_TRUE(recording.may_record(full));
  EXPECT_FALSE(recording.may_record(last));
  recording.forget();
  EXPECT_FALSE(recording.may_record(full));
}

TEST(StepRecordingTest, StepsAreForgottenBeforeTheirExecutablesGo) {
  Workers alone;
  StepRecording recording(alone);
  const auto least = static_cast<int64_t>(CacheLimits{}.least);
  for (int64_t rows = 0; rows <= least; ++rows) recording.note_run(std::vector{rows}, false);
  EXPECT_FALSE(recording.may_record(std::vector{int64_t{0}}));
  for (int64_t rows = 1; rows <= least; ++rows)
    EXPECT_TRUE(recording.may_record(std::vector{rows}));
}

/// What `body` does on two workers that are threads; what it returns on each.
template <class Body>
std::vector<std::string> on_two_workers(Body&& body) {
  testing::Meeting meeting(2);
  std::vector<std::string> results(2);
  std::vector<std::thread> threads;
  for (int w = 0; w < 2; ++w)
    threads.emplace_back([&, w] {
      testing::ThreadWorkers workers(meeting, 2, w);
      try {
        results[static_cast<size_t>(w)] = body(workers, w);
      } catch (const Error& error) {
        results[static_cast<size_t>(w)] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return results;
}

TEST(StepRecordingTest, AProcessThatCannotRecordKeepsAllFromIt) {
  ::testing::internal::CaptureStderr();
  const auto results = on_two_workers([](Workers& workers, int index) {
    StepRecording recording(workers);
    const std::vector<int64_t> rows{4, 4};
    recording.note_run(rows, false);
    const RecordingOutcome mine{.recorded = index == 0, .reason = index == 0 ? "" : "no memory"};
    const bool all = recording.all_recorded(std::span(&mine, 1));
    return std::string(all ? "recorded" : "not") + (recording.may_record(rows) ? " again" : "");
  });
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("no memory"), std::string::npos);
  EXPECT_EQ(results, (std::vector<std::string>{"not", "not"}));
}

TEST(StepRecordingTest, ProcessesThatDecideOtherwiseAreToldOnRequest) {
  setenv("COHORT_CHECK_RANKS", "1", 1);
  const auto results = on_two_workers([](Workers& workers, int index) {
    StepRecording recording(workers);
    recording.note_run(std::vector<int64_t>{4, 4}, false);
    recording.note_run(std::vector<int64_t>{4, 4}, index == 1);
    return std::string("no error");
  });
  unsetenv("COHORT_CHECK_RANKS");
  for (const std::string& result : results)
    EXPECT_NE(result.find("how a step runs"), std::string::npos) << result;
}

}  // namespace
}  // namespace cohort::distribute
