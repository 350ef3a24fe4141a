#pragma once

#include <optional>
#include <string>

#include "cohort/nn/logs.h"

namespace cohort::nn::internal {

/// A number of the logs that a callback watches, and what counts as better.
class Monitor {
 public:
  /// `where` names the callback in errors. mode: "min", "max"; "auto": by the name. InvalidArgument
  /// for other modes, when "auto" cannot tell, and for a min_delta that is not finite.
  Monitor(std::string where, std::string name, const std::string& mode, double min_delta);

  /// The number; null where the logs lack it, which is said on standard error where `warns`.
  const double* find(const Logs& logs, bool warns) const;
  /// Whether `value` is better than `over` by more than min_delta. Every finite number is better
  /// than an absent one; NaN and infinities are never better.
  bool improves(double value, std::optional<double> over) const;

 private:
  std::string where_, name_;
  double min_delta_;
  bool larger_is_better_;
};

}  // namespace cohort::nn::internal
