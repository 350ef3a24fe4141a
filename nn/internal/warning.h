#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "cohort/core/terminal.h"
#include "cohort/distribute/strategy.h"

namespace cohort::nn::internal {

/// One line on the standard error of the chief.
template <class... Arguments>
void warn(const distribute::Strategy& strategy, fmt::format_string<Arguments...> format,
          Arguments&&... arguments) {
  if (!strategy.is_chief()) return;
  say(stderr, "warning: " + fmt::format(format, std::forward<Arguments>(arguments)...) + "\n");
}

}  // namespace cohort::nn::internal
