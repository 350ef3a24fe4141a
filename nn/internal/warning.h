#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <utility>

#include "cohort/distribute/strategy.h"

namespace cohort::nn::internal {

/// One line on the standard error of the chief.
template <class... Arguments>
void warn(const distribute::Strategy& strategy, fmt::format_string<Arguments...> format,
          Arguments&&... arguments) {
  if (!strategy.is_chief()) return;
  const std::string text = fmt::format(format, std::forward<Arguments>(arguments)...);
  std::fprintf(stderr, "warning: %s\n", text.c_str());
}

}  // namespace cohort::nn::internal
