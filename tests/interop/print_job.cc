// Prints as one line of JSON how Cohort reads its environment: what resolve_job gives, or with
// --tf-config what the resolver of TF_CONFIG gives. An Error is printed as {"error": …}.
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "cluster/job.h"
#include "cluster/tf_config_cluster_resolver.h"
#include "core/error.h"

namespace {

using namespace cohort;
using nlohmann::json;

json describe_job(const cluster::Environment& environment) {
  const cluster::Job job = cluster::resolve_job(environment);
  json tasks = json::array();
  for (const cluster::Task& task : job.tasks) tasks.push_back(task.to_string());
  return {{"tasks", tasks},
          {"self", job.self},
          {"addresses", job.addresses},
          {"coordinator", job.coordinator},
          {"job_id", job.job_id},
          {"why", job.why}};
}

json describe_tf_config(const cluster::Environment& environment) {
  const cluster::TFConfigClusterResolver resolver(environment);
  const cluster::ClusterSpec spec = resolver.cluster_spec();
  json jobs = json::object();
  for (const auto& [job, tasks] : spec.as_map()) {
    jobs[job] = json::object();
    for (const auto& [index, address] : tasks) jobs[job][std::to_string(index)] = address;
  }
  const auto or_null = [](const auto& value) { return value ? json(*value) : json(); };
  return {{"jobs", jobs},
          {"text", spec.to_string()},
          {"task_type", or_null(resolver.task_type())},
          {"task_id", or_null(resolver.task_id())},
          {"rpc_layer", or_null(resolver.rpc_layer())},
          {"master", resolver.master()}};
}

}  // namespace

int main(int argc, char** argv) {
  const auto environment = cluster::Environment::of_process();
  const bool tf_config = argc > 1 && std::strcmp(argv[1], "--tf-config") == 0;
  try {
    const json described = tf_config ? describe_tf_config(environment) : describe_job(environment);
    std::printf("%s\n", described.dump().c_str());
    return 0;
  } catch (const Error& error) {
    std::printf("%s\n", json({{"error", error.what()}}).dump().c_str());
    return 1;
  }
}
