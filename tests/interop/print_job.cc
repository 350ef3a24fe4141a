// Prints as one line of JSON how Cohort reads its environment: what resolve_job gives, or with
// --tf-config what each member of TF_CONFIG's resolver gives. An Error is printed as {"error": …}.
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cohort/cluster/job.h"
#include "cohort/cluster/tf_config_cluster_resolver.h"
#include "cohort/core/error.h"

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

// What `read` gives, or its error.
template <class Read>
json attempt(Read read) {
  try {
    return read();
  } catch (const Error& error) {
    return {{"error", error.what()}};
  }
}

template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

json describe_spec(const cluster::ClusterSpec& spec) {
  json jobs = json::object();
  for (const auto& [job, tasks] : spec.as_map()) {
    jobs[job] = json::object();
    for (const auto& [index, address] : tasks) jobs[job][std::to_string(index)] = address;
  }
  return {{"jobs", jobs}, {"text", spec.to_string()}};
}

json describe_tf_config(const cluster::Environment& environment) {
  const cluster::TFConfigClusterResolver resolver(environment);
  const auto master = [&](const std::optional<std::string>& type = {}, std::optional<int> id = {},
                          const std::optional<std::string>& rpc_layer = {}) {
    return attempt([&] { return json(resolver.master(type, id, rpc_layer)); });
  };
  return {{"cluster_spec", attempt([&] { return describe_spec(resolver.cluster_spec()); })},
          {"task_type", attempt([&] { return or_null(resolver.task_type()); })},
          {"task_id", attempt([&] { return or_null(resolver.task_id()); })},
          {"rpc_layer", attempt([&] { return or_null(resolver.rpc_layer()); })},
          {"environment", attempt([&] { return json(resolver.environment()); })},
          {"master()", master()},
          {"master(worker, 1)", master("worker", 1)},
          {"master(worker)", master("worker")},
          {"master(id 0)", master({}, 0)},
          {"master(test)", master({}, {}, "test")},
          {"master(no layer)", master({}, {}, "")},
          {"master(worker, 1, test)", master("worker", 1, "test")},
          {"master(nobody, 0)", master("nobody", 0)}};
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
