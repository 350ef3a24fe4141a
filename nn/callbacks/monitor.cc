#include "cohort/nn/callbacks/monitor.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>

#include "cohort/core/terminal.h"
#include "cohort/nn/internal/names.h"

namespace cohort::nn::internal {
namespace {

bool is_larger_better(const std::string& where, const std::string& name, const std::string& mode) {
  check_name(where, "mode", mode, {"auto", "min", "max"});
  if (mode != "auto") return mode == "max";
  const auto contains = [&](const char* part) { return name.find(part) != std::string::npos; };
  if (contains("acc")) return true;
  if (contains("loss") || contains("error") || contains("mse") || contains("crossentropy"))
    return false;
  throw InvalidArgument("{}: got mode \"auto\" for monitor {}; want \"min\" or \"max\"", where,
                        name);
}

}  // namespace

Monitor::Monitor(std::string where, std::string name, const std::string& mode, double min_delta)
    : where_(std::move(where)),
      name_(std::move(name)),
      min_delta_(std::abs(min_delta)),
      larger_is_better_(is_larger_better(where_, name_, mode)) {
  if (!std::isfinite(min_delta))
    throw InvalidArgument("{}: got min_delta {}; want a finite number", where_, min_delta);
}

const double* Monitor::find(const Logs& logs, bool warns) const {
  if (const double* value = logs.find(name_)) return value;
  if (!warns) return nullptr;
  std::string names;
  for (const auto& [name, value] : logs) names += " " + name;
  say(stderr, fmt::format("{}: monitor {} is not there; there are{}\n", where_, name_, names));
  return nullptr;
}

bool Monitor::improves(double value, std::optional<double> over) const {
  if (!std::isfinite(value)) return false;
  if (!over) return true;
  return larger_is_better_ ? value - min_delta_ > *over : value + min_delta_ < *over;
}

}  // namespace cohort::nn::internal
