#include "cohort/core/trace/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "cohort/core/trace/step_metrics.h"
#include "tests/support/expect_error.h"
#include "tests/support/prometheus.h"
#include "tests/support/thread_allocations.h"

namespace cohort {
namespace {

using testing::expect_invalid;
using testing::parse_prometheus;

TEST(MetricsTest, TheTextIsPrometheus) {
  MetricRegistry metrics;
  metrics.set_common_labels({{"task_type", "worker"}, {"task", "3"}});
  metrics.counter({.name = "a_total", .help = "All \\ of\nit.", .labels = {{"k", "x"}}}).add(5);
  metrics.gauge({.name = "b", .help = "B."}).set(-0.125);
  metrics.counter({.name = "a_total", .help = "All \\ of\nit.", .labels = {{"k", "y"}}}).add(7);
  EXPECT_EQ(metrics.to_prometheus(),
            "# HELP a_total All \\\\ of\\nit.\n# TYPE a_total counter\n"
            "a_total{task_type=\"worker\",task=\"3\",k=\"x\"} 5\n"
            "a_total{task_type=\"worker\",task=\"3\",k=\"y\"} 7\n"
            "# HELP b B.\n# TYPE b gauge\nb{task_type=\"worker\",task=\"3\"} -0.125\n");
}

TEST(MetricsTest, AnyLabelAndAnyNumberCanBeReadBack) {
  const std::string odd = "a\"b\\c\nd{}=, é";
  MetricRegistry metrics;
  const double values[] = {1e300, 5e-324, 0.1, std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity()};
  for (size_t i = 0; i < std::size(values); ++i)
    metrics.gauge({.name = "g", .help = odd, .labels = {{"odd", odd}, {"i", std::to_string(i)}}})
        .set(values[i]);
  metrics.gauge({.name = "n", .help = "NaN"}).set(std::nan(""));
  const auto text = parse_prometheus(metrics.to_prometheus());
  for (size_t i = 0; i < std::size(values); ++i)
    EXPECT_EQ(text.value("g", {{"odd", odd}, {"i", std::to_string(i)}}), values[i]);
  EXPECT_TRUE(std::isnan(text.value("n")));
}

TEST(MetricsTest, OneNameAndItsLabelsAreOneMetric) {
  MetricRegistry metrics;
  Counter& first = metrics.counter({.name = "c_total", .help = "C.", .labels = {{"k", "x"}}});
  EXPECT_EQ(&first, &metrics.counter({.name = "c_total", .help = "C.", .labels = {{"k", "x"}}}));
  EXPECT_NE(&first, &metrics.counter({.name = "c_total", .help = "C."}));
}

TEST(MetricsTest, WhatPrometheusDoesNotTakeIsRefused) {
  MetricRegistry metrics;
  for (const char* name : {"", "1a", "a b", "a-b", "é"})
    expect_invalid({"metrics: got the name"}, [&] { metrics.gauge({.name = name, .help = "H."}); });
  for (const char* label : {"", "0", "a:b"})
    expect_invalid({"metrics: got the label"}, [&] {
      metrics.gauge({.name = "g", .help = "H.", .labels = {{label, ""}}});
    });
  for (const char* label : {"job", "instance"}) {  // which Prometheus would rename: exported_job
    expect_invalid({"metrics: got the label", label, "which a scrape sets"}, [&] {
      metrics.gauge({.name = "g", .help = "H.", .labels = {{label, ""}}});
    });
    expect_invalid({label}, [&] { metrics.set_common_labels({{label, ""}}); });
  }
  metrics.gauge({.name = "g", .help = "H."});
  expect_invalid({"g is a gauge"}, [&] { metrics.counter({.name = "g", .help = "H."}); });
}

TEST(MetricsTest, CountersOfManyThreadsAddUp) {
  MetricRegistry metrics;
  Counter& counter = metrics.counter({.name = "c_total", .help = "C."});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 10000; ++i) counter.add();
    });
  for (int i = 0; i < 100; ++i) parse_prometheus(metrics.to_prometheus());
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 40000u);
}

TEST(StepMetricsTest, AStepIsDividedAndAllocatesNothing) {
  MetricRegistry metrics;
  StepMetrics steps(metrics);
  using std::chrono::milliseconds;
  steps.begin({.waited = milliseconds(1000), .bytes_sent = 50, .collectives = 9});
  const int64_t allocations = test::thread_allocations();
  steps.add(milliseconds(5), milliseconds(100), 32,
            {.waited = milliseconds(1020), .bytes_sent = 4146, .collectives = 11});
  steps.add(milliseconds(5), milliseconds(100), 7,
            {.waited = milliseconds(1050), .bytes_sent = 4146, .collectives = 13});
  EXPECT_EQ(test::thread_allocations(), allocations);
  const auto text = parse_prometheus(metrics.to_prometheus());
  EXPECT_EQ(text.value("cohort_steps_total"), 2);
  EXPECT_EQ(text.value("cohort_examples_total"), 39);
  EXPECT_EQ(text.value("cohort_network_sent_bytes_total"), 4096);
  EXPECT_EQ(text.value("cohort_collectives_total"), 4);
  const auto seconds = [&](const char* phase) {
    return text.value("cohort_step_seconds_total", {{"phase", phase}});
  };
  EXPECT_DOUBLE_EQ(seconds("input"), 0.01);
  EXPECT_DOUBLE_EQ(seconds("compute"), 0.15);
  EXPECT_DOUBLE_EQ(seconds("communication"), 0.05);
}

}  // namespace
}  // namespace cohort
