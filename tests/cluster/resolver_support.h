#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cohort/cluster/cluster_resolver.h"
#include "cohort/cluster/environment.h"

namespace cohort::cluster::testing {

inline Environment environment(std::map<std::string, std::string> variables) {
  return Environment(std::move(variables));
}

/// The addresses of a job that is dense.
inline std::vector<std::string> addresses(const ClusterSpec& spec, const std::string& job) {
  std::vector<std::string> texts;
  for (const auto& address : spec.job_tasks(job)) texts.push_back(address.value_or("none"));
  return texts;
}

}  // namespace cohort::cluster::testing
