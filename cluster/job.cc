#include "cohort/cluster/job.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "cohort/cluster/address.h"
#include "cohort/cluster/choose_resolver.h"
#include "cohort/cluster/mpi_cluster_resolver.h"
#include "cohort/cluster/roles.h"
#include "cohort/cluster/tf_config_cluster_resolver.h"
#include "cohort/core/error.h"
#include "cohort/core/process_identity.h"
#include "cohort/core/wire/hash.h"

namespace cohort::cluster {
namespace {

// Below the ports that systems give to clients, above those that services have.
constexpr int kFirstPort = 20000;
constexpr int kNumPorts = 10000;

std::string identity(int pid) { return fmt::format("{}-{}", pid, process_start(pid)); }

// How to name a task, for people.
const char* naming(Launcher launcher) {
  return launcher == Launcher::kProgram ? "task_type and task_id of the resolver"
                                        : "\"task\": {\"type\": …, \"index\": …}";
}

const char* source(Launcher launcher) {
  return launcher == Launcher::kProgram ? "cluster_resolver" : "TF_CONFIG";
}

// The only task of `job`, or that of the whole cluster.
Task single_task(const ClusterSpec& spec, const std::optional<std::string>& type,
                 Launcher launcher) {
  std::vector<Task> found;
  for (const auto& [job, tasks] : spec.as_map())
    for (const auto& [index, address] : tasks)
      if (!type || *type == job) found.push_back({job, index});
  if (type && !spec.has_job(*type)) return {*type, 0};  // validate() tells more
  if (found.size() == 1) return found[0];
  throw InvalidArgument("{}: names no task, but there are {} in {}; want {}", source(launcher),
                        found.size(), spec.to_string(), naming(launcher));
}

Task find_self(const ChosenResolver& chosen, const ClusterSpec& spec) {
  const std::optional<std::string> type = chosen.resolver->task_type();
  const std::optional<int> id = chosen.resolver->task_id();
  if (type && id) return {*type, *id};
  return single_task(spec, type, chosen.launcher);
}

// Whoever is told its name but no cluster would train by itself, as would each of its peers. An
// evaluator is by itself anyway.
Task self_without_cluster(const ChosenResolver& chosen) {
  const std::optional<std::string> type = chosen.resolver->task_type();
  const std::optional<int> id = chosen.resolver->task_id();
  const bool described =
      chosen.launcher == Launcher::kTFConfig || chosen.launcher == Launcher::kProgram;
  if (!described || (!type && !id)) return {"worker", 0};
  if (type == "evaluator") return {*type, id.value_or(0)};
  throw InvalidArgument(
      "{}: names {} but no cluster; want \"cluster\": {{\"worker\": [\"host:port\", …]}}",
      source(chosen.launcher), Task{type.value_or("?"), id.value_or(0)}.to_string());
}

void check_sparse_cluster(const Job& job, const ClusterResolver& resolver) {
  const Task& self = job.tasks[job.self];
  const auto* tf_config = dynamic_cast<const TFConfigClusterResolver*>(&resolver);
  if (job.tasks.size() > 1 || self.type == "evaluator" || !tf_config ||
      !tf_config->has_sparse_cluster())
    return;
  throw FailedPrecondition(
      "TF_CONFIG: got a sparseCluster in which {} sees no other worker, so that each would train "
      "by itself; want \"cluster\" with all workers (TFJob: no enableDynamicWorker)",
      self.to_string());
}

bool has_port(const std::string& address) {
  return !address.empty() && parse_address(address).port != 0;
}

void check_addresses(const Job& job) {
  std::map<std::string, const Task*> seen;
  for (size_t i = 0; i < job.tasks.size(); ++i) {
    if (!has_port(job.addresses[i])) continue;
    const auto [at, inserted] = seen.emplace(job.addresses[i], &job.tasks[i]);
    if (!inserted)
      throw InvalidArgument("cluster: {} and {} have one address, {}", at->second->to_string(),
                            job.tasks[i].to_string(), job.addresses[i]);
  }
}

std::string find_job_id(const Environment& environment, const ChosenResolver& chosen,
                        const ClusterSpec& spec) {
  if (const auto id = environment.get("COHORT_JOB_ID")) return *id;
  switch (chosen.launcher) {
    case Launcher::kSlurm: {
      const auto get = [&](const char* name) { return environment.get(name).value_or("0"); };
      return fmt::format("slurm-{}-{}.{}-{}", get("SLURM_CLUSTER_NAME"), get("SLURM_JOB_ID"),
                         get("SLURM_STEP_ID"), get("SLURM_RESTART_COUNT"));
    }
    case Launcher::kMpi: {
      const std::string id = dynamic_cast<const MpiClusterResolver&>(*chosen.resolver).job_id();
      if (id.empty()) return "mpi-" + identity(::getppid());
      return fmt::format("mpi-{:016x}", wire::hash128(id).low);
    }
    case Launcher::kTFConfig:
      return fmt::format("tf-{:016x}", wire::hash128(spec.to_string()).low);
    case Launcher::kIndexedJob:
      return fmt::format("k8s-{:016x}", wire::hash128(spec.to_string()).low);
    case Launcher::kProgram:
      return fmt::format("cluster-{:016x}", wire::hash128(spec.to_string()).low);
    case Launcher::kNone:
      break;
  }
  return "alone-" + identity(::getpid());
}

// Gives the leader an address that the others know, or leaves it to publication.
void find_coordinator(Job& job, const Environment& environment, Launcher launcher) {
  if (job.tasks.size() == 1 && !has_port(job.addresses[0])) return;
  if (const auto given = environment.get("COHORT_COORDINATOR")) {
    if (!has_port(*given))
      throw InvalidArgument("COHORT_COORDINATOR: got '{}'; want host:port", *given);
    job.coordinator = *given;
    if (!has_port(job.addresses[0])) job.addresses[0] = *given;
    return;
  }
  if (has_port(job.addresses[0])) {
    job.coordinator = job.addresses[0];
    return;
  }
  std::vector<std::string> hosts;
  for (const std::string& address : job.addresses)
    hosts.push_back(address.empty() ? "" : parse_address(address).host);
  if (launcher == Launcher::kSlurm) {
    if (std::all_of(hosts.begin(), hosts.end(), [&](const auto& host) { return host == hosts[0]; }))
      return;
    const int port = kFirstPort + static_cast<int>(wire::hash128(job.job_id).low % kNumPorts);
    job.addresses[0] = Address{.host = hosts[0], .port = port}.to_string();
    job.coordinator = job.addresses[0];
    return;
  }
  const bool local = std::all_of(hosts.begin(), hosts.end(), is_loopback);
  if (local && (launcher == Launcher::kMpi || environment.has("COHORT_JOB_ID"))) return;
  throw FailedPrecondition(
      "cluster: the leader {} has address '{}', whose port nobody knows; want a port, or "
      "COHORT_COORDINATOR=host:port on every task",
      job.tasks[0].to_string(), job.addresses[0]);
}

// Training tasks for one of them, an evaluator alone for an evaluator.
std::vector<Task> tasks_beside(const ClusterSpec& spec, const Task& self) {
  if (self.type == "evaluator") return {self};
  if (self.type == "ps")
    throw InvalidArgument(
        "cluster: this process is {}, a parameter server, which does not train; want chief or "
        "worker",
        self.to_string());
  return training_tasks(spec);
}

}  // namespace

Job resolve_job(const Environment& environment) { return resolve_job(environment, nullptr); }

Job resolve_job(const Environment& environment, std::shared_ptr<const ClusterResolver> resolver) {
  const ChosenResolver chosen =
      resolver ? choose_resolver(std::move(resolver)) : choose_resolver(environment);
  ClusterSpec spec = chosen.resolver->cluster_spec();
  const bool described = !spec.empty();
  if (!described) spec = ClusterSpec({{"worker", {"127.0.0.1:0"}}});
  const Task self = described ? find_self(chosen, spec) : self_without_cluster(chosen);
  validate(spec, self);

  Job job;
  job.tasks = tasks_beside(spec, self);
  job.self =
      static_cast<int>(std::find(job.tasks.begin(), job.tasks.end(), self) - job.tasks.begin());
  for (const Task& task : job.tasks)
    job.addresses.push_back(spec.has_task(task) ? spec.task_address(task) : "127.0.0.1:0");
  job.advice_on_names = chosen.resolver->advice_on_names();
  job.job_id = find_job_id(environment, chosen, spec);
  if (self.type == "evaluator") job.job_id += "-evaluator";
  if (const auto ports = environment.get("COHORT_PORT_RANGE")) job.ports = parse_port_range(*ports);
  job.tls = {
      .certificate_authority = environment.get("COHORT_TLS_CERTIFICATE_AUTHORITY").value_or(""),
      .certificate = environment.get("COHORT_TLS_CERTIFICATE").value_or(""),
      .private_key = environment.get("COHORT_TLS_PRIVATE_KEY").value_or("")};
  job.why = described ? chosen.why : chosen.why + ", but names no cluster: one worker";
  check_sparse_cluster(job, *chosen.resolver);
  check_addresses(job);
  job.require_secret = environment.get_number("COHORT_REQUIRE_SECRET", 1) == 1;
  job.reflection = environment.get_number("COHORT_GRPC_REFLECTION", 1) == 1;
  find_coordinator(job, environment, chosen.launcher);
  std::vector<std::string> all = job.addresses;
  all.push_back(job.coordinator);
  job.one_host = job.coordinator.empty() || on_one_host(all);
  return job;
}

}  // namespace cohort::cluster
