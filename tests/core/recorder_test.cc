#include "core/trace/recorder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/ops/math.h"
#include "core/runtime/function.h"
#include "core/runtime/runtime.h"

namespace cohort {
namespace {

TEST(TraceRecorderTest, EveryNodeOfAStepStandsInTheChromeTrace) {
  TraceRecorder recorder;
  default_runtime().record_to(&recorder);
  const Function f = function([](Value x) { return ops::exp(ops::sin(x)); }, "timed \"quoted\"");
  f(Tensor::from({1.f, 2.f}));
  default_runtime().record_to(nullptr);
  const auto json = nlohmann::json::parse(recorder.to_chrome_json());
  std::vector<std::string> ops;
  for (const auto& event : json["traceEvents"]) {
    EXPECT_EQ(event["ph"], "X");
    EXPECT_GE(event["dur"].get<double>(), 0);
    ops.push_back(event["cat"]);
  }
  EXPECT_EQ(ops, (std::vector<std::string>{"Sin", "Exp"}));
}

TEST(TraceRecorderTest, AFileThatCannotBeWrittenIsNamed) {
  try {
    TraceRecorder().save("/nowhere/trace.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("/nowhere/trace.json"), std::string::npos);
  }
}

}  // namespace
}  // namespace cohort
