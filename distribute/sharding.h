#pragma once

namespace cohort::distribute {

/// What the devices of a strategy divide among themselves instead of each having all of it, as in
/// ZeRO (Rajbhandari et al. 2020). The numbers that come out have the same bits.
enum class Sharding {
  kNone,
  kZero1,  ///< the slots of optimizers; each device updates its part of the variables
  kZero2,  ///< and the sums of gradients
};

}  // namespace cohort::distribute
