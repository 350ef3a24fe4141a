#include "cohort/kernels/cuda/merge_counts.h"

#include "cohort/core/error.h"

namespace cohort::cuda {

std::vector<uint8_t> merge_counts(int num_ranks, const CombineOrder& order) {
  std::vector<uint8_t> counts(static_cast<size_t>(num_ranks), 0);
  std::vector<int> sums;  // the first rank of each
  size_t next = 0;
  const auto merges_next = [&] {
    return next < order.size() && sums.size() > 1 &&
           order[next] == std::pair(sums[sums.size() - 2], sums.back());
  };
  for (int rank = 0; rank < num_ranks; ++rank) {
    sums.push_back(rank);
    if (sums.size() > kMaxSums)
      throw InvalidArgument("all_reduce: got an order that holds more than {} sums", kMaxSums);
    for (; merges_next(); ++next, sums.pop_back()) ++counts[static_cast<size_t>(rank)];
  }
  if (num_ranks > 0 && (next != order.size() || sums.size() != 1))
    throw InvalidArgument("all_reduce: got an order of {} additions for {} ranks that is no tree",
                          order.size(), num_ranks);
  return counts;
}

}  // namespace cohort::cuda
