#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/workers/workers.h"

namespace cohort {
namespace {

struct Interval {
  double begin = 0, end = 0;
  bool overlaps(const Interval& other) const { return begin <= other.end && other.begin <= end; }
  /// Times are rounded to ns.
  bool contains(const Interval& other) const {
    return begin <= other.begin + 0.002 && other.end <= end + 0.002;
  }
};

struct Trace {
  std::map<int, std::string> process_names;
  std::map<int, std::vector<Interval>> steps;                  // by pid
  std::map<std::pair<int, int>, std::vector<Interval>> nodes;  // by pid and tid
  /// By bucket's name: those of each track of each process, in order.
  std::map<std::string, std::map<std::pair<int, int>, std::vector<Interval>>> collectives;
};

Trace read_trace(const std::string& path) {
  const auto json = nlohmann::json::parse(std::ifstream(path));
  Trace trace;
  std::map<std::string, double> begun;
  for (const auto& event : json["traceEvents"]) {
    const int pid = event["pid"], tid = event["tid"];
    const std::string phase = event["ph"], name = event["name"];
    if (phase == "M") {
      if (name == "process_name") trace.process_names[pid] = event["args"]["name"];
      continue;
    }
    const double ts = event["ts"];
    if (phase == "X") {
      const Interval interval{ts, ts + event["dur"].get<double>()};
      if (event["cat"] == "Step")
        trace.steps[pid].push_back(interval);
      else if (event["cat"] != "Input")
        trace.nodes[{pid, tid}].push_back(interval);
    } else if (phase == "b") {
      begun[event["id"]] = ts;
    } else {
      trace.collectives[name][{pid, tid}].push_back({begun.at(event["id"]), ts});
    }
  }
  return trace;
}

class WorkerTraceTest : public ::testing::TestWithParam<const char*> {};

/// `replicas`: of all four devices; more of them run in turn.
TEST_P(WorkerTraceTest, AllRanksStandOnOneTimeLine) {
  const std::string path =
      ::testing::TempDir() + "cohort_trace_" + std::to_string(getpid()) + ".json";
  setenv("TRACE_PATH", path.c_str(), 1);
  const auto results = run_workers(2, {"traced", "2", GetParam()});
  unsetenv("TRACE_PATH");
  for (const WorkerResult& result : results) ASSERT_EQ(result.exit_code, 0) << result.output;
  const Trace trace = read_trace(path);
  std::filesystem::remove(path);

  EXPECT_EQ(trace.process_names,
            (std::map<int, std::string>{{0, "/job:worker/task:0"}, {1, "/job:worker/task:1"}}));
  ASSERT_EQ(trace.nodes.size(), 4u);  // two devices each
  for (const auto& [track, nodes] : trace.nodes) {
    const auto& steps = trace.steps.at(track.first);
    ASSERT_EQ(steps.size(), 4u);
    for (const Interval& node : nodes)
      EXPECT_TRUE(std::any_of(steps.begin(), steps.end(), [&](const Interval& step) {
        return step.contains(node);
      })) << node.begin;
  }
  ASSERT_GE(trace.collectives.size(), 2u);
  for (const auto& [bucket, tracks] : trace.collectives) {
    ASSERT_EQ(tracks.size(), 4u) << bucket;
    const auto& first = tracks.begin()->second;
    EXPECT_EQ(first.size(), 4u) << "one for each step";
    for (const auto& [track, intervals] : tracks) {
      ASSERT_EQ(intervals.size(), first.size());
      // Nobody has a sum before everybody has given his part.
      for (size_t step = 0; step < first.size(); ++step)
        EXPECT_TRUE(intervals[step].overlaps(first[step])) << bucket << " of " << track.first;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Replicas, WorkerTraceTest, ::testing::Values("4", "8"));

}  // namespace
}  // namespace cohort
