#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "cohort/core/dtype.h"
#include "cohort/core/ops/collective.h"

namespace cohort::distribute {

/// The reduction of one element from every rank, in the order of replica_tree.h. The same bits
/// wherever and in whatever pieces it is done.
class TreeSum {
 public:
  using Order = std::vector<std::pair<int, int>>;

  /// `block_sizes`: logical replicas of each rank. A mean divides the sum by their number.
  TreeSum(const std::vector<int>& block_sizes, DType dtype, ops::ReduceOp op);

  /// Replaces elements [begin, begin + count) of every buffer (one for each rank) with the result.
  void in_place(std::span<char* const> buffers, int64_t begin, int64_t count) const;
  /// The result of `count` elements of every source to `out`, which may be one of the sources.
  void into(char* out, std::span<const char* const> sources, int64_t count);

 private:
  enum class Shape { kOne, kPair, kFour, kAny };

  bool has_loop() const;
  void divide(char* sums, int64_t count) const;

  const int size_;
  const int64_t num_replicas_;
  const DType dtype_;
  const ops::ReduceOp op_;
  const Order order_;
  const Shape shape_;
  std::vector<char> scratch_;         ///< a block for every rank
  std::vector<const char*> current_;  ///< where each rank's block stands
};

}  // namespace cohort::distribute
