#pragma once

#include "cohort/core/runtime/rewrite.h"

namespace cohort {

/// A step cut at its reductions, for a device that carries several logical replicas: it runs
/// `local` once for each of them, adds up their buckets, and runs `combine` once.
struct StepParts {
  /// Up to the inputs of collectives, which op "WriteBucket" leaves in their buckets.
  GraphFunction local;
  /// From the results in the buckets (op "ReadBucket") on: fetches that need them, and every
  /// commit.
  GraphFunction combine;
  /// For fetch i of the whole: does `combine` compute it, and as which fetch of its part?
  struct Fetch {
    bool combined;
    int index;
  };
  std::vector<Fetch> fetches;
};

/// Splits a graph that has passed plan_collectives. Throws Unimplemented, naming it, for an input
/// that is needed after the reduction without having been reduced.
StepParts split_at_reduction(const GraphFunction& function);

}  // namespace cohort
