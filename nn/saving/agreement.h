#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/current_error.h"
#include "cohort/distribute/strategy.h"

namespace cohort::nn::internal {

/// What every worker's part of a collective operation came to. One that fails tells the others, and
/// all of them throw the same error while the job goes on.
class Agreement {
 public:
  explicit Agreement(distribute::Workers& workers) : workers_(workers) {}

  /// Calls `part`, which returns a string, on this worker. Collective.
  template <class Part>
  std::vector<std::string> gather(std::string_view label, Part&& part) {
    std::string value;
    std::optional<Error> error;
    try {
      value = part();
    } catch (...) {
      error = current_error();
    }
    return exchange(label, value, error);
  }

  /// The chief's result: `part` is called there alone. Collective.
  template <class Part>
  std::string from_chief(std::string_view label, Part&& part) {
    return gather(label, [&] { return workers_.is_chief() ? part() : std::string(); }).front();
  }

 private:
  std::vector<std::string> exchange(std::string_view label, const std::string& value,
                                    const std::optional<Error>& error);

  distribute::Workers& workers_;
};

/// The error of one or more workers, thrown by all of them: no worker need be told of it.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Calls `work` with this thread entered; what all workers have agreed to throw is told to nobody.
template <class Work>
auto collectively(distribute::Workers& workers, const char* what, Work&& work) {
  using Result = decltype(work());
  std::optional<AgreedError> error;
  std::optional<Result> result = workers.guard(what, [&]() -> std::optional<Result> {
    try {
      return work();
    } catch (const AgreedError& agreed) {
      error = agreed;
      return {};
    }
  });
  if (error) throw Error(*error);
  return std::move(*result);
}

}  // namespace cohort::nn::internal
