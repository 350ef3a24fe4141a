#include "cohort/cluster/metrics_server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "cohort/cluster/endpoint.h"
#include "cohort/cluster/local_address.h"
#include "cohort/cluster/membership.h"
#include "cohort/core/error.h"
#include "cohort/core/terminal.h"

namespace cohort::cluster {
namespace {

constexpr int kMaxPort = 65535;
constexpr std::chrono::milliseconds kAsk(500);
/// Launchers' names for a task's place among those of its host.
constexpr const char* kLocalRanks[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID",
                                       "PMIX_LOCAL_RANK", "SLURM_LOCALID"};

std::string host_of(const Job& job, int task) {
  const std::string& address = job.addresses[static_cast<size_t>(task)];
  return address.empty() ? "" : parse_address(address).host;
}

/// The task's place among those of its host, from 0.
int place_on_host(const Job& job, const Environment& environment) {
  const std::string host = host_of(job, job.self);
  int place = 0;
  for (int task = 0; task < job.self; ++task)
    if (host_of(job, task) == host) ++place;
  if (!host.empty()) return place;
  for (const char* name : kLocalRanks)  // hosts are not known
    if (const auto rank = environment.get_number(name, kMaxPort)) return *rank;
  return 0;
}

bool is_any(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

std::string choose_host(const Job& job, const std::string& given) {
  if (!given.empty()) return given;
  if (const std::string host = host_of(job, job.self); !host.empty()) return host;
  return job.coordinator.empty() ? "127.0.0.1" : local_address_towards(job.coordinator, job.advice_on_names);
}

std::string describe(const Job& job) {
  return fmt::format("{}, process {}", job.tasks[static_cast<size_t>(job.self)].to_string(),
                     getpid());
}

std::unique_ptr<HttpServer> listen(const HttpModule& http, const Address& address,
                                   HttpHandler handler) {
  try {
    return http.serve(address, std::move(handler));
  } catch (const Error& error) {
    if (error.code() != Code::kAlreadyExists) throw;
    // The second line of a task's /healthz says who it is.
    const std::string health = http.get(address, "/healthz", kAsk);
    const size_t begin = health.find("\n/job:");
    const std::string holder =
        begin == std::string::npos
            ? "no task of Cohort"
            : health.substr(begin + 1, health.find('\n', begin + 1) - begin - 1);
    throw AlreadyExists("metrics: port {} of {} is in use, by {}; want another COHORT_METRICS_PORT",
                        address.port, address.host, holder);
  }
}

void add_process(MetricRegistry& metrics) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  metrics
      .gauge({.name = "process_start_time_seconds",
              .help = "When this process began to serve its metrics, in seconds since 1970."})
      .set(now);
}

Gauge& tasks_gauge(MetricRegistry& metrics) {
  return metrics.gauge({.name = "cohort_cluster_tasks", .help = "Tasks of this job."});
}
Gauge& missing_gauge(MetricRegistry& metrics) {
  return metrics.gauge({.name = "cohort_cluster_tasks_missing",
                        .help = "Tasks that have not come: the others until the cluster starts."});
}
Gauge& healthy_gauge(MetricRegistry& metrics) {
  return metrics.gauge({.name = "cohort_healthy", .help = "1, or 0 when the cluster has failed."});
}

}  // namespace

MetricsServer::MetricsServer(MetricRegistry& metrics, const Job& job, int port,
                             const std::string& host, const Environment& environment)
    : metrics_(metrics) {
  const int own = port == 0 ? 0 : port + place_on_host(job, environment);
  if (own > kMaxPort)
    throw InvalidArgument("metrics: got port {} for the first task of a host; {} needs {}", port,
                          describe(job), own);
  const Task& self = job.tasks[static_cast<size_t>(job.self)];
  metrics.set_common_labels({{"task_type", self.type}, {"task", std::to_string(self.index)}});
  add_process(metrics);
  const auto others = static_cast<double>(job.tasks.size() - 1);
  tasks_gauge(metrics).set(others + 1);
  missing_gauge(metrics).set(others);
  healthy_gauge(metrics).set(1);

  const std::string named = choose_host(job, host);
  Address address = resolve({named, own}, job.advice_on_names).front();
  const auto answer = [&metrics, who = describe(job)](const std::string& path) -> HttpResponse {
    if (path == "/metrics")
      return {200, "text/plain; version=0.0.4; charset=utf-8", metrics.to_prometheus()};
    if (path != "/healthz") return {.status = 404, .body = "want /metrics or /healthz\n"};
    std::string problem = metrics.problem();
    std::replace(problem.begin(), problem.end(), '\n', ' ');
    return {.status = problem.empty() ? 200 : 503,
            .body = fmt::format("{}\n{}\n", problem.empty() ? "ok" : problem, who)};
  };
  server_ = listen(http_module(), address, answer);
  address_ = Address{is_any(named) ? choose_host(job, "") : named, server_->port()}.to_string();
  metrics.set_served_at(address_);
}

MetricsServer::~MetricsServer() { metrics_.set_served_at(""); }

std::unique_ptr<MetricsServer> serve_metrics(MetricRegistry& metrics,
                                             const Environment& environment) {
  const auto port = environment.get_number("COHORT_METRICS_PORT", kMaxPort);
  const std::string host = environment.get("COHORT_METRICS_ADDRESS").value_or("");
  if (!port) {
    if (host.empty()) return nullptr;
    throw InvalidArgument("COHORT_METRICS_ADDRESS: got {}; want COHORT_METRICS_PORT as well", host);
  }
  const Job job = resolve_job(environment);
  auto server = std::make_unique<MetricsServer>(metrics, job, *port, host, environment);
  say(stderr, fmt::format("metrics: {} serves http://{}/metrics\n",
                          job.tasks[static_cast<size_t>(job.self)].to_string(), server->address()));
  return server;
}

ClusterMetrics::ClusterMetrics(MetricRegistry& metrics, Membership& membership)
    : membership_(membership) {
  const Task& self = membership.self();
  if (metrics.served())
    membership.insert("metrics/" + self.type + "/" + std::to_string(self.index),
                      metrics.served_at());
  tasks_gauge(metrics).set(static_cast<double>(membership.tasks().size()));
  missing_gauge(metrics).set(0);
  Gauge& healthy = healthy_gauge(metrics);
  healthy.set(1);
  watch_ = membership.watch([&metrics, &healthy](const Error& error) {
    metrics.set_problem(error.what());
    healthy.set(0);
  });
}

ClusterMetrics::~ClusterMetrics() { membership_.unwatch(watch_); }

}  // namespace cohort::cluster
