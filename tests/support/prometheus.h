#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cohort::testing {

/// What a text in Prometheus' format 0.0.4 says. Strict: each family has one HELP, one TYPE and
/// then its samples, no family comes twice, no sample comes twice, and every line ends.
struct PrometheusText {
  struct Sample {
    std::map<std::string, std::string> labels;
    double value = 0;
  };
  struct Family {
    std::string help, type;
    std::vector<Sample> samples;
  };
  std::map<std::string, Family> families;

  /// The sample whose labels include these; throws std::runtime_error when there is not exactly
  /// one.
  double value(const std::string& name,
               const std::map<std::string, std::string>& labels = {}) const;
};

/// Throws std::runtime_error with the line that is wrong.
PrometheusText parse_prometheus(std::string_view text);

/// What a server of the loopback answers to these bytes until it closes.
std::string ask(int port, std::string_view request);
/// The body of `GET path`; the status goes to `status`.
std::string get(int port, const std::string& path, int& status);

}  // namespace cohort::testing
