#include "cohort/cluster/kubernetes_cluster_resolver.h"

#include <algorithm>

#include "cohort/cluster/address.h"
#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes the digits at the front of `text`, leading zeros off.
std::string_view take_number(std::string_view& text) {
  const size_t end = std::find_if_not(text.begin(), text.end(), is_digit) - text.begin();
  std::string_view number = text.substr(0, end);
  text.remove_prefix(end);
  number.remove_prefix(std::min(number.find_first_not_of('0'), number.size()));
  return number;
}

}  // namespace

bool natural_less(std::string_view a, std::string_view b) {
  const std::string_view whole_a = a, whole_b = b;
  while (!a.empty() && !b.empty()) {
    if (is_digit(a[0]) && is_digit(b[0])) {
      const std::string_view number_a = take_number(a), number_b = take_number(b);
      if (number_a.size() != number_b.size()) return number_a.size() < number_b.size();
      if (number_a != number_b) return number_a < number_b;
    } else {
      if (a[0] != b[0]) return a[0] < b[0];
      a.remove_prefix(1);
      b.remove_prefix(1);
    }
  }
  if (a.empty() && b.empty()) return whole_a < whole_b;  // they differ in leading zeros at most
  return a.empty();
}

KubernetesOptions::Selectors KubernetesOptions::default_selectors() {
  return {{"worker", {"job-name=cohort"}}};
}

KubernetesClusterResolver::KubernetesClusterResolver(KubernetesOptions options)
    : options_(std::move(options)) {
  if (!options_.list_pods)
    throw InvalidArgument("KubernetesClusterResolver: got no list_pods; want a function");
}

ClusterSpec KubernetesClusterResolver::cluster_spec() const {
  ClusterSpec::DenseJobs jobs;
  for (const auto& [job, selectors] : options_.selectors) {
    std::vector<std::string>& addresses = jobs[job];
    for (const std::string& selector : selectors) {
      std::vector<Pod> pods = options_.list_pods(selector);
      std::sort(pods.begin(), pods.end(),
                [](const Pod& a, const Pod& b) { return natural_less(a.name, b.name); });
      for (const Pod& pod : pods) {
        if (pod.phase != "Running")
          throw FailedPrecondition("Pod \"{}\" is not running; phase: \"{}\"", pod.name, pod.phase);
        addresses.push_back(Address{.host = pod.ip, .port = options_.port}.to_string());
      }
    }
  }
  return ClusterSpec(jobs);
}

std::optional<std::string> KubernetesClusterResolver::task_type() const {
  return options_.overrides.task_type;
}

std::optional<int> KubernetesClusterResolver::task_id() const { return options_.overrides.task_id; }

std::optional<std::string> KubernetesClusterResolver::rpc_layer() const {
  return options_.overrides.rpc_layer;
}

std::string KubernetesClusterResolver::environment() const { return "cloud"; }

Accelerators KubernetesClusterResolver::num_accelerators(const std::optional<std::string>&,
                                                         std::optional<int>) const {
  return {};
}

}  // namespace cohort::cluster
