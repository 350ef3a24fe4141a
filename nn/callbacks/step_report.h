#pragma once

#include <functional>
#include <string_view>

#include "cohort/nn/callback.h"

namespace cohort::nn {

/// One line after each epoch, on the chief: where the time of a step went on the chief, and which
/// worker the others wait for:
///   epoch 1: 203 us a step: input 4, compute 180, exposed communication 19 (9 %); 0 bytes sent
///   epoch 1: slowest: worker 1, input 3 + compute 195 us, 10 % over the median
struct StepReport {
  /// Where the lines go; absent: standard error.
  std::function<void(std::string_view)> print = {};

  operator Callback() const;
};

}  // namespace cohort::nn
