#include "cohort/core/trace/metrics.h"

#include <algorithm>
#include <cmath>

#include "cohort/core/error.h"

namespace cohort {
namespace {

bool is_name(const std::string& text, bool of_label) {
  const auto fits = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9') ||
           (c == ':' && !of_label);
  };
  return !text.empty() && !(text[0] >= '0' && text[0] <= '9') &&
         std::all_of(text.begin(), text.end(), fits);
}

/// HELP texts escape backslash and newline, label values the quotation mark too.
std::string escaped(const std::string& text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

std::string to_text(const MetricLabels& common, const MetricLabels& own) {
  std::string text;
  for (const MetricLabels* labels : {&common, &own})
    for (const auto& [name, value] : *labels)
      text += fmt::format("{}{}=\"{}\"", text.empty() ? "{" : ",", name, escaped(value, true));
  return text.empty() ? text : text + "}";
}

void check_labels(const MetricLabels& labels) {
  for (const auto& [name, value] : labels) {
    if (!is_name(name, true))
      throw InvalidArgument("metrics: got the label \"{}\"; want letters, digits and _", name);
    if (name == "job" || name == "instance")
      throw InvalidArgument("metrics: got the label \"{}\", which a scrape sets; want another name",
                            name);
  }
}

}  // namespace

struct MetricRegistry::Metric {
  MetricLabels labels;
  Counter counter;
  Gauge gauge;
};

struct MetricRegistry::Family {
  std::string name, help;
  double unit;
  bool counts;
  std::vector<std::unique_ptr<Metric>> metrics;
};

MetricRegistry::MetricRegistry() = default;
MetricRegistry::~MetricRegistry() = default;

MetricRegistry::Metric& MetricRegistry::find(const MetricOptions& options, bool counts) {
  if (!is_name(options.name, false))
    throw InvalidArgument("metrics: got the name \"{}\"; want letters, digits and _", options.name);
  check_labels(options.labels);
  const std::lock_guard lock(mutex_);
  auto family = std::find_if(families_.begin(), families_.end(),
                             [&](const auto& f) { return f->name == options.name; });
  if (family == families_.end()) {
    families_.push_back(
        std::make_unique<Family>(Family{options.name, options.help, options.unit, counts, {}}));
    family = families_.end() - 1;
  }
  if ((*family)->counts != counts)
    throw InvalidArgument("metrics: {} is a {}; want it used as one", options.name,
                          (*family)->counts ? "counter" : "gauge");
  auto& metrics = (*family)->metrics;
  auto metric = std::find_if(metrics.begin(), metrics.end(),
                             [&](const auto& m) { return m->labels == options.labels; });
  if (metric == metrics.end()) {
    metrics.push_back(std::make_unique<Metric>());
    metric = metrics.end() - 1;
    (*metric)->labels = options.labels;
  }
  return **metric;
}

Counter& MetricRegistry::counter(const MetricOptions& options) {
  return find(options, true).counter;
}

Gauge& MetricRegistry::gauge(const MetricOptions& options) { return find(options, false).gauge; }

void MetricRegistry::set_common_labels(MetricLabels labels) {
  check_labels(labels);
  const std::lock_guard lock(mutex_);
  common_labels_ = std::move(labels);
}

void MetricRegistry::set_problem(std::string problem) {
  const std::lock_guard lock(mutex_);
  problem_ = std::move(problem);
}

std::string MetricRegistry::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void MetricRegistry::set_served_at(std::string address) {
  const std::lock_guard lock(mutex_);
  served_.store(!address.empty(), std::memory_order_relaxed);
  served_at_ = std::move(address);
}

std::string MetricRegistry::served_at() const {
  const std::lock_guard lock(mutex_);
  return served_at_;
}

std::string MetricRegistry::to_prometheus() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& family : families_) {
    text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", family->name, escaped(family->help, false),
                        family->name, family->counts ? "counter" : "gauge");
    for (const auto& metric : family->metrics)
      text += fmt::format(
          "{}{} {}\n", family->name, to_text(common_labels_, metric->labels),
          number(family->counts ? static_cast<double>(metric->counter.value()) * family->unit
                                : metric->gauge.value()));
  }
  return text;
}

}  // namespace cohort
