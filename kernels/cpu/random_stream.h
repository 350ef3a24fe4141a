#pragma once

#include "cohort/core/runtime/kernel.h"
#include "cohort/core/runtime/philox.h"

namespace cohort::cpu {

/// Where a random op's numbers come from: attributes "seed", "stream" and "batched" of
/// core/ops/random.h.
class RandomStream {
 public:
  /// `shape`: of the tensor whose elements get numbers.
  RandomStream(const Attrs& attrs, const Shape& shape)
      : seed_(attrs.get_or<int64_t>("seed", -1)),
        stream_(philox_stream(attrs.get<std::string>("stream"))) {
    if (attrs.get_or<bool>("batched", false) && shape.rank() > 0)
      row_elements_ = shape.num_elements(1, shape.rank());
  }

  uint64_t key(const StepState& step) const {
    return philox_key(seed_ >= 0 ? static_cast<uint64_t>(seed_) : step.seed, stream_, step.step,
                      step.micro_step);
  }
  /// The index of the tensor's first element in the tensor of the global batch.
  uint64_t first_index(const StepState& step) const {
    return static_cast<uint64_t>(step.row_offset * row_elements_);
  }

 private:
  int64_t seed_;
  uint64_t stream_;
  int64_t row_elements_ = 0;  // 0: not a batch, the same on every replica
};

/// Calls fn(i, word) for elements [begin, end) of a tensor whose element 0 has index `first`.
template <class Fn>
void for_each_word(uint64_t key, uint64_t first, uint32_t plane, int64_t begin, int64_t end,
                   Fn&& fn) {
  for (int64_t i = begin; i < end;) {
    const uint64_t index = first + static_cast<uint64_t>(i);
    const std::array<uint32_t, 4> words = philox_block(key, index / 4, plane);
    for (uint64_t lane = index % 4; lane < 4 && i < end; ++lane, ++i) fn(i, words[lane]);
  }
}

}  // namespace cohort::cpu
