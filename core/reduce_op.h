#pragma once

namespace cohort::ops {

/// How the values of several replicas become one.
enum class ReduceOp { kSum, kMean, kMax, kMin };

}  // namespace cohort::ops
