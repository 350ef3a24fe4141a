#pragma once

#include <string>

#include "cohort/distribute/transport/meeting.h"

namespace cohort::distribute {

/// "all_reduce (sum) of 1000 float32"
std::string describe_collective(const Description& description);

/// Throws InvalidArgument naming both ranks when they prepared different things as the n-th
/// collective. The blocks of a gather may differ in size.
void check_same_collective(size_t index, const Description& a, int rank_a, const Description& b,
                           int rank_b);

}  // namespace cohort::distribute
