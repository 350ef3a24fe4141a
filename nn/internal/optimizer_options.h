#pragma once

#include "cohort/nn/optimizer.h"

/// What the optimizers of nn/optimizers/ share.
namespace cohort::nn::optimizers {

/// The options that all optimizers have, of an aggregate of nn/optimizers/.
template <class Options>
OptimizerOptions shared_options(const Options& options) {
  return {.learning_rate = options.learning_rate,
          .weight_decay = options.weight_decay,
          .clipnorm = options.clipnorm,
          .clipvalue = options.clipvalue,
          .global_clipnorm = options.global_clipnorm,
          .use_ema = options.use_ema,
          .ema_momentum = options.ema_momentum,
          .ema_overwrite_frequency = options.ema_overwrite_frequency,
          .loss_scale_factor = options.loss_scale_factor,
          .gradient_accumulation_steps = options.gradient_accumulation_steps,
          .name = options.name,
          .lazy_rows = options.lazy_rows};
}

// InvalidArgument, naming the optimizer, unless the number is in range.
void check_share(const std::string& optimizer, std::string_view what, double value);  ///< [0, 1)
void check_not_negative(const std::string& optimizer, std::string_view what, double value);

}  // namespace cohort::nn::optimizers
