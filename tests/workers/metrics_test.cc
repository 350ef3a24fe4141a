#include <gtest/gtest.h>

#include <cstdlib>

#include "cohort/cluster/http.h"
#include "cohort/core/error.h"
#include "tests/support/prometheus.h"
#include "tests/workers/workers.h"

namespace cohort {
namespace {

/// The number after `text` in what a worker prints.
int number_after(const std::string& output, const std::string& text) {
  const size_t at = output.find(text);
  if (at == std::string::npos) throw std::runtime_error("no \"" + text + "\" in:\n" + output);
  return std::stoi(output.substr(at + text.size()));
}

class WorkerMetricsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("COHORT_METRICS_PORT", "0", 1);
    try {
      cluster::http_module();
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
  void TearDown() override { unsetenv("COHORT_METRICS_PORT"); }
};

TEST_F(WorkerMetricsTest, EveryWorkerServesItsOwn) {
  Workers workers(2, {"endless", "2"});
  for (int worker = 0; worker < 2; ++worker) {
    workers.wait_for(worker, "step: made", std::chrono::seconds(60));
    const std::string task = std::to_string(worker);
    const int port = number_after(
        workers.output(worker), "metrics: /job:worker/task:" + task + " serves http://127.0.0.1:");
    int status = 0;
    const auto text =
        cohort::testing::parse_prometheus(cohort::testing::get(port, "/metrics", status));
    const std::map<std::string, std::string> self{{"task_type", "worker"}, {"task", task}};
    // An epoch of 70 rows in batches of 16: each worker has half of them.
    EXPECT_GE(text.value("cohort_steps_total", self), 5);
    EXPECT_GE(text.value("cohort_examples_total", self), 32);  // the rest of 6 is worker 0's
    EXPECT_GE(text.value("cohort_collectives_total", self), 5);
    EXPECT_EQ(text.value("cohort_network_sent_bytes_total", self), 0);  // shared memory
    EXPECT_GT(text.value("cohort_metric", {{"name", "loss"}}), 0);
    EXPECT_EQ(text.value("cohort_cluster_tasks", self), 2);
    EXPECT_EQ(text.value("cohort_cluster_tasks_missing", self), 0);
    EXPECT_EQ(text.value("cohort_healthy", self), 1);
    cohort::testing::get(port, "/healthz", status);
    EXPECT_EQ(status, 200);
  }
}

}  // namespace
}  // namespace cohort
