#include "cohort/distribute/transport/tree_sum.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "cohort/distribute/elementwise.h"
#include "cohort/distribute/replica_tree.h"
#include "cohort/distribute/sum_loops.h"

namespace cohort::distribute {
namespace {

// Stays in the first-level cache between the additions of a tree.
constexpr int64_t kTreeBlock = 1024;

/// Calls `use` with the loops of a dtype that has some, and a value of its type.
template <class Use>
void with_loops(DType dtype, Use&& use) {
  const SumTable& table = sum_table();
  switch (dtype) {
    case DType::kF32:
      return use(table.f32, float{});
    case DType::kF64:
      return use(table.f64, double{});
    case DType::kI32:
      return use(table.i32, int32_t{});
    default:
      return use(table.i64, int64_t{});
  }
}

}  // namespace

TreeSum::TreeSum(const std::vector<int>& block_sizes, DType dtype, ops::ReduceOp op)
    : size_(static_cast<int>(block_sizes.size())),
      num_replicas_(std::accumulate(block_sizes.begin(), block_sizes.end(), int64_t{0})),
      dtype_(dtype),
      op_(op),
      order_(combine_order(block_sizes)),
      shape_(size_ == 1                                ? Shape::kOne
             : size_ == 2                              ? Shape::kPair
             : order_ == Order{{0, 1}, {2, 3}, {0, 2}} ? Shape::kFour
                                                       : Shape::kAny),
      current_(block_sizes.size()) {
  if (!is_floating(dtype) && !is_integer(dtype))
    throw InvalidArgument("all_reduce: got dtype {}; want numbers", dtype);
  if (size_ > 2) scratch_.resize(static_cast<size_t>(size_ * kTreeBlock) * size_of(dtype));
}

bool TreeSum::has_loop() const {
  return op_ == ops::ReduceOp::kSum && (dtype_ == DType::kF32 || dtype_ == DType::kF64 ||
                                        dtype_ == DType::kI32 || dtype_ == DType::kI64);
}

void TreeSum::divide(char* sums, int64_t count) const {
  if (op_ == ops::ReduceOp::kMean) divide_by(sums, count, dtype_, num_replicas_);
}

void TreeSum::in_place(std::span<char* const> buffers, int64_t begin, int64_t count) const {
  const auto element = static_cast<int64_t>(size_of(dtype_));
  if (shape_ == Shape::kOne) return divide(buffers[0] + begin * element, count);
  if (has_loop() && (shape_ == Shape::kPair || shape_ == Shape::kFour)) {
    return with_loops(dtype_, [&](const auto& loops, auto tag) {
      using T = decltype(tag);
      const auto at = [&](size_t rank) { return reinterpret_cast<T*>(buffers[rank]) + begin; };
      if (shape_ == Shape::kPair) return loops.pair_in_place(at(0), at(1), count);
      loops.four_in_place(at(0), at(1), at(2), at(3), count);
    });
  }
  for (int64_t done = 0; done < count; done += kTreeBlock) {
    const int64_t n = std::min(kTreeBlock, count - done);
    const int64_t offset = (begin + done) * element;
    for (const auto& [to, from] : order_)
      reduce_into(buffers[static_cast<size_t>(to)] + offset,
                  buffers[static_cast<size_t>(from)] + offset, n, dtype_, op_);
    divide(buffers[0] + offset, n);
    for (size_t rank = 1; rank < buffers.size(); ++rank)
      std::memcpy(buffers[rank] + offset, buffers[0] + offset, static_cast<size_t>(n * element));
  }
}

void TreeSum::into(char* out, std::span<const char* const> sources, int64_t count) {
  const auto element = static_cast<int64_t>(size_of(dtype_));
  if (shape_ == Shape::kOne) {
    if (out != sources[0] && count > 0)
      std::memcpy(out, sources[0], static_cast<size_t>(count * element));
    return divide(out, count);
  }
  if (has_loop() && (shape_ == Shape::kPair || shape_ == Shape::kFour)) {
    return with_loops(dtype_, [&](const auto& loops, auto tag) {
      using T = decltype(tag);
      const auto at = [&](size_t rank) { return reinterpret_cast<const T*>(sources[rank]); };
      T* to = reinterpret_cast<T*>(out);
      if (shape_ == Shape::kPair) return loops.pair(to, at(0), at(1), count);
      loops.four(to, at(0), at(1), at(2), at(3), count);
    });
  }
  for (int64_t done = 0; done < count; done += kTreeBlock) {
    const int64_t n = std::min(kTreeBlock, count - done);
    for (size_t rank = 0; rank < sources.size(); ++rank)
      current_[rank] = sources[rank] + done * element;
    for (size_t i = 0; i < order_.size(); ++i) {
      const auto a = static_cast<size_t>(order_[i].first);
      const auto b = static_cast<size_t>(order_[i].second);
      char* to = i + 1 == order_.size()
                     ? out + done * element
                     : scratch_.data() + static_cast<int64_t>(a) * kTreeBlock * element;
      reduce_pair(to, current_[a], current_[b], n, dtype_, op_);
      current_[a] = to;
    }
    divide(out + done * element, n);
  }
}

}  // namespace cohort::distribute
