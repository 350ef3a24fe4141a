#pragma once

#include <memory>

#include "cohort/cluster/environment.h"
#include "cohort/cluster/http.h"
#include "cohort/cluster/job.h"
#include "cohort/core/trace/metrics.h"

namespace cohort::cluster {

class Membership;

/// Serves a task's metrics to Prometheus while it lives:
///   /metrics   the registry in the text format 0.0.4, every line with the labels task_type and task
///   /healthz   200 "ok", or 503 and what is wrong; then who this is
/// Nothing is written there in secret, and nothing can be changed; whoever reaches the port may
/// read.
class MetricsServer {
 public:
  /// Listens at the host of the task's own address of the job, or at `host` where it is not empty.
  /// `port` 0 takes a free one; any other is the port of the host's first task, and each further
  /// task of that host has the next. Throws AlreadyExists naming who has the port if it is a task
  /// of Cohort, FailedPrecondition when this build has no HTTP.
  MetricsServer(MetricRegistry& metrics, const Job& job, int port, const std::string& host,
                const Environment& environment);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  const std::string& address() const { return address_; }  ///< "host:port"

 private:
  MetricRegistry& metrics_;
  std::string address_;
  std::unique_ptr<HttpServer> server_;
};

/// What the environment asks for, on every task alike:
///   COHORT_METRICS_PORT     0 … 65535; absent: nothing is served, and the result is null
///   COHORT_METRICS_ADDRESS  the host to listen at, 0.0.0.0 for instance
/// Says on standard error where. Throws what MetricsServer and resolve_job do.
std::unique_ptr<MetricsServer> serve_metrics(MetricRegistry& metrics,
                                             const Environment& environment);

/// What a task tells of its cluster while this lives: "metrics/JOB/INDEX" in the key-value store
/// holds its address, and a failure of the cluster becomes the registry's problem.
class ClusterMetrics {
 public:
  ClusterMetrics(MetricRegistry& metrics, Membership& membership);
  ~ClusterMetrics();
  ClusterMetrics(const ClusterMetrics&) = delete;
  ClusterMetrics& operator=(const ClusterMetrics&) = delete;

 private:
  Membership& membership_;
  int watch_;
};

}  // namespace cohort::cluster
