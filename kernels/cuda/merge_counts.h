#pragma once

#include <cstdint>
#include <vector>

#include "cohort/core/runtime/job_group.h"

namespace cohort::cuda {

/// `order` for who goes through the ranks once, with a stack of sums: how many times the two sums
/// on top become one when rank r's data has been put there. Throws InvalidArgument for an order
/// that is no binary tree over neighbours, and one that wants a stack deeper than kMaxSums.
std::vector<uint8_t> merge_counts(int num_ranks, const CombineOrder& order);
inline constexpr int kMaxSums = 16;

}  // namespace cohort::cuda
