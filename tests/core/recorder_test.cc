#include "cohort/core/trace/recorder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cohort/core/ops/math.h"
#include "cohort/core/runtime/function.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/trace/chrome_trace.h"
#include "tests/support/expect_error.h"

namespace cohort {
namespace {

using Kind = TraceEvent::Kind;

std::vector<nlohmann::json> spans(std::span<const ProcessTrace> processes, const char* phase) {
  const auto json = nlohmann::json::parse(to_chrome_json(processes));
  std::vector<nlohmann::json> found;
  for (const auto& event : json["traceEvents"])
    if (event["ph"] == phase) found.push_back(event);
  return found;
}

TEST(TraceRecorderTest, EveryNodeOfAStepStandsInTheTraceWhileItIsRecorded) {
  const Function f = function([](Value x) { return ops::exp(ops::sin(x)); }, "timed \"quoted\"");
  f(Tensor::from({1.f, 2.f}));
  TraceRecorder recorder;
  default_runtime().record_to(&recorder);
  f(Tensor::from({1.f, 2.f}));
  default_runtime().record_to(nullptr);
  f(Tensor::from({1.f, 2.f}));
  std::vector<std::string> ops;
  for (const auto& event : spans(std::vector{ProcessTrace{"p", recorder.events()}}, "X")) {
    EXPECT_GE(event["dur"].get<double>(), 0);
    ops.push_back(event["cat"]);
  }
  EXPECT_EQ(ops, (std::vector<std::string>{"Sin", "Exp"}));
}

TEST(ChromeTraceTest, ProcessesStandOnTheFirstOnesTimeLine) {
  const ProcessTrace chief{
      "chief",
      {{.track = "a", .name = "x", .op = "X", .begin_ns = 5000, .duration_ns = 10},
       {.track = "b", .name = "y", .op = "Y", .begin_ns = 6000, .duration_ns = 20}}};
  const ProcessTrace other{
      "other",
      {{.track = "a", .name = "z", .op = "Z", .begin_ns = 1004000, .duration_ns = 30}},
      1000000};
  const std::vector both{chief, other};
  const auto x = spans(both, "X");
  ASSERT_EQ(x.size(), 3u);
  EXPECT_EQ(x[0]["ts"], 1.0);
  EXPECT_EQ(x[1]["ts"], 2.0);
  EXPECT_EQ(x[2]["ts"], 0.0);  // 4 µs of the chief's clock: the first of all
  EXPECT_EQ(x[1]["dur"], 0.02);
  EXPECT_NE(x[0]["tid"], x[1]["tid"]);
  EXPECT_EQ(x[2]["pid"], 1);
  const auto names = spans(both, "M");
  EXPECT_EQ(names.size(), 5u);  // two processes, three tracks
  EXPECT_EQ(names[0]["args"]["name"], "chief");
}

TEST(ChromeTraceTest, ACollectiveGoesFromItsStartToTheEndOfItsWait) {
  const auto end = [](Kind kind, int64_t bucket, int64_t begin) -> TraceEvent {
    return {.track = "a",
            .name = "n",
            .op = "AllReduce",
            .kind = kind,
            .bucket = bucket,
            .begin_ns = begin,
            .duration_ns = 1000};
  };
  const std::vector processes{
      ProcessTrace{"p",
                   {end(Kind::kWait, 7, 0), end(Kind::kStart, 0, 2000), end(Kind::kStart, 1, 4000),
                    end(Kind::kWait, 0, 6000), end(Kind::kWait, 1, 8000)}}};
  const auto begins = spans(processes, "b"), ends = spans(processes, "e");
  ASSERT_EQ(begins.size(), 2u);  // bucket 7 began before the recording
  ASSERT_EQ(ends.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(begins[i]["id"], ends[i]["id"]);
    EXPECT_EQ(begins[i]["name"], "bucket " + std::to_string(i));
  }
  EXPECT_NE(begins[0]["id"], begins[1]["id"]);
  EXPECT_EQ(begins[1]["ts"], 4.0);
  EXPECT_EQ(ends[1]["ts"], 9.0);
}

TEST(ChromeTraceTest, EventsComeBackFromTheirBytes) {
  const std::vector<TraceEvent> events{{.track = "t",
                                        .name = "näme\n\t\"",
                                        .op = "",
                                        .kind = Kind::kWait,
                                        .bucket = 3,
                                        .begin_ns = -5,
                                        .duration_ns = int64_t{1} << 60},
                                       {}};
  const std::string bytes = pack_events(events);
  const auto back = unpack_events(bytes);
  ASSERT_EQ(back.size(), 2u);
  EXPECT_EQ(back[0].name, events[0].name);
  EXPECT_EQ(back[0].kind, Kind::kWait);
  EXPECT_EQ(back[0].bucket, 3);
  EXPECT_EQ(back[0].begin_ns, -5);
  EXPECT_EQ(back[0].duration_ns, int64_t{1} << 60);
  for (size_t size = 1; size < 40; ++size)
    testing::expect_error(Code::kDataLoss, {"trace"},
                          [&] { unpack_events(std::string_view(bytes).substr(0, size)); });
}

TEST(ChromeTraceTest, AFileThatCannotBeWrittenIsNamed) {
  testing::expect_error(Code::kUnavailable, {"/nowhere/trace.json"},
                        [] { save_text("/nowhere/trace.json", "{}"); });
}

}  // namespace
}  // namespace cohort
