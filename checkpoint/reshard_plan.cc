#include "cohort/checkpoint/reshard_plan.h"

#include <algorithm>
#include <numeric>
#include <queue>

#include "cohort/core/error.h"

namespace cohort::checkpoint {

std::vector<PlannedRead> ReshardPlan::reads(std::span<const ElementRange> wanted) const {
  std::vector<PlannedRead> reads;
  for (const ElementRange& range : wanted) {
    if (range.tensor >= manifest_.tensors.size())
      throw InvalidArgument("reshard: got tensor {}; want one of {}", range.tensor,
                            manifest_.tensors.size());
    const TensorRecord& tensor = manifest_.tensors[range.tensor];
    if (range.begin < 0 || range.end < range.begin || range.end > tensor.num_elements())
      throw InvalidArgument("reshard: {}: got elements {} to {}; want a range of {}", tensor.name,
                            range.begin, range.end, tensor.num_elements());
    if (range.begin == range.end) continue;
    const uint64_t element_bytes = size_of(tensor.dtype);
    auto piece = std::upper_bound(tensor.pieces.begin(), tensor.pieces.end(), range.begin,
                                  [](int64_t at, const Piece& next) { return at < next.end; });
    for (int64_t at = range.begin; at < range.end; ++piece) {
      const int64_t end = std::min(range.end, piece->end);
      reads.push_back(
          {.file = piece->file,
           .offset = piece->offset + static_cast<uint64_t>(at - piece->begin) * element_bytes,
           .bytes = static_cast<uint64_t>(end - at) * element_bytes,
           .elements = {range.tensor, at, end}});
      at = end;
    }
  }
  return reads;
}

// The largest first, each to the rank that has least so far: at most 4/3 of the best (Graham 1969).
std::vector<int> share_among(std::span<const uint64_t> tensor_bytes, int num_ranks) {
  std::vector<size_t> order(tensor_bytes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return tensor_bytes[a] > tensor_bytes[b]; });
  using Load = std::pair<uint64_t, int>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> ranks;
  for (int rank = 0; rank < num_ranks; ++rank) ranks.emplace(0, rank);
  std::vector<int> writers(tensor_bytes.size());
  for (const size_t tensor : order) {
    auto [bytes, rank] = ranks.top();
    ranks.pop();
    writers[tensor] = rank;
    ranks.emplace(bytes + tensor_bytes[tensor], rank);
  }
  return writers;
}

}  // namespace cohort::checkpoint
