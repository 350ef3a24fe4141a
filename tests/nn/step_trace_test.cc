#include "cohort/nn/callbacks/step_trace.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "cohort/cohort.h"
#include "cohort/nn/internal/clock_offsets.h"
#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

using cohort::testing::expect_error;
using internal::ExchangeTimes;

std::string trace_path(const char* name) {
  return ::testing::TempDir() + "cohort_" + name + "_" + std::to_string(getpid()) + ".json";
}

void train(const StepTrace& options, int64_t epochs, int64_t steps_per_execution = 1) {
  const Model model = Sequential({Input({.shape = {4}}), Dense({.units = 2, .name = "head"})});
  model.compile(
      {.optimizer = SGD(), .loss = MeanSquaredError(), .steps_per_execution = steps_per_execution});
  const Tensor x(DType::kF32, Shape{32, 4}), y(DType::kF32, Shape{32, 2});
  model.fit(x, y, {.batch_size = 8, .epochs = epochs, .verbose = 0, .callbacks = {options}});
  EXPECT_EQ(default_runtime().recorder(), nullptr);
}

/// The names of the steps in a trace file, which is removed.
std::vector<std::string> steps_of(const std::string& path) {
  const auto json = nlohmann::json::parse(std::ifstream(path));
  std::filesystem::remove(path);
  std::vector<std::string> steps;
  for (const auto& event : json["traceEvents"])
    if (event.value("cat", "") == "Step") steps.push_back(event["name"]);
  return steps;
}

TEST(StepTraceTest, RecordsTheStepsThatItIsTold) {
  const std::string path = trace_path("told");
  train({.path = path, .first_step = 3, .num_steps = 2}, 3);  // epochs of 4 steps
  EXPECT_EQ(steps_of(path), (std::vector<std::string>{"step 3", "step 4"}));
}

TEST(StepTraceTest, StepsThatRunTogetherAreOneSpan) {
  const std::string path = trace_path("together");
  train({.path = path, .first_step = 2, .num_steps = 1}, 2, 2);
  EXPECT_EQ(steps_of(path), (std::vector<std::string>{"step 2"}));
}

TEST(StepTraceTest, TrainingThatEndsEarlyLeavesWhatThereIs) {
  const std::string path = trace_path("early");
  train({.path = path, .first_step = 2, .num_steps = 100}, 1);
  EXPECT_EQ(steps_of(path), (std::vector<std::string>{"step 2", "step 3"}));
  train({.path = path, .first_step = 100}, 1);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(StepTraceTest, NodesLieWithinTheirStep) {
  const std::string path = trace_path("within");
  train({.path = path, .first_step = 1, .num_steps = 1}, 1);
  const auto json = nlohmann::json::parse(std::ifstream(path));
  std::filesystem::remove(path);
  double begin = 0, end = 0;
  for (const auto& event : json["traceEvents"])
    if (event.value("cat", "") == "Step") {
      begin = event["ts"];
      end = begin + event["dur"].get<double>();
    }
  int nodes = 0;
  for (const auto& event : json["traceEvents"]) {
    if (event["ph"] != "X" || event["cat"] == "Step" || event["cat"] == "Input") continue;
    EXPECT_GE(event["ts"].get<double>(), begin - 0.002) << event;  // rounded to ns
    EXPECT_LE(event["ts"].get<double>() + event["dur"].get<double>(), end + 0.002) << event;
    ++nodes;
  }
  EXPECT_GE(nodes, 4);
}

TEST(StepTraceTest, WrongOptionsAreRefused) {
  for (const StepTrace& wrong : {StepTrace{.path = ""}, {.first_step = -1}, {.num_steps = 0}})
    expect_error(Code::kInvalidArgument, {"StepTrace: got"}, [&] { Callback{wrong}; });
  expect_error(Code::kUnavailable, {"/nowhere/trace.json"},
               [] { train({.path = "/nowhere/trace.json", .first_step = 0, .num_steps = 1}, 1); });
  EXPECT_EQ(default_runtime().recorder(), nullptr);
}

TEST(ClockOffsetsTest, TheDifferenceOfTwoClocksIsFoundWithinTheFastestExchange) {
  std::mt19937_64 random(3);
  const auto up_to = [&](int64_t most) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(most));
  };
  for (const int64_t ahead : {int64_t{0}, int64_t{-123456789012}, int64_t{987654321098765}}) {
    std::vector<ExchangeTimes> mine, theirs;
    int64_t now = 1'000'000'000, fastest = 1 << 30;
    for (int round = 0; round < 16; ++round) {
      // Both enter, one late; both leave after the later one has entered.
      const int64_t a = now + up_to(500'000), b = now + up_to(500'000), met = std::max(a, b);
      const int64_t trip = 10'000 + up_to(100'000);
      mine.push_back({a, met + up_to(trip)});
      theirs.push_back({b + ahead, met + up_to(trip) + ahead});
      fastest = std::min(fastest, std::max(mine.back().left - b, theirs.back().left - ahead - a));
      now = met + trip;
    }
    const int64_t error = internal::clock_ahead(theirs, mine) - ahead;
    EXPECT_LE(std::abs(error), fastest);
  }
}

TEST(ClockOffsetsTest, OneWorkerNeedsNone) {
  distribute::Workers alone;
  EXPECT_EQ(internal::clock_offsets(alone), std::vector<int64_t>{0});
}

}  // namespace
}  // namespace cohort::nn
