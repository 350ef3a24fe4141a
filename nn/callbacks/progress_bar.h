#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "cohort/nn/callback.h"

namespace cohort::nn {

/// Keras' progress bar: one row of a terminal, redrawn at most every 50 ms, and whole at the end;
/// elsewhere, or with verbose 2, one line. fit, evaluate and predict add one unless verbose is 0.
struct ProgressBar {
  /// Where text goes; absent: standard output. What is drawn over begins with '\r'.
  std::function<void(std::string_view)> print = {};
  /// Whether a line can be overwritten; absent: whether standard output is a terminal.
  std::optional<bool> terminal = {};

  operator Callback() const;
};

}  // namespace cohort::nn
