#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "cohort/core/shape.h"

namespace cohort::cpu {

/// The walk over row-major operands that broadcast to one row-major output. Axes that can be walked
/// as one are merged, so that the innermost run is as long as it can be; there each input steps by
/// 0 (repeated) or 1.
class BroadcastPlan {
 public:
  static constexpr int kMaxInputs = 3;
  static constexpr int kMaxRank = 12;
  using Offsets = std::array<int64_t, kMaxInputs>;

  /// Throws Unimplemented when more than kMaxRank axes remain after merging.
  BroadcastPlan(const Shape& output, std::span<const Shape> inputs);

  int64_t num_elements() const { return num_elements_; }
  int64_t run_length() const { return sizes_.back(); }
  /// 0 or 1: how input i moves along a run.
  int64_t inner_stride(int i) const { return strides_.back()[static_cast<size_t>(i)]; }
  /// True when every input has the output's shape.
  bool is_flat() const;

  /// Calls fn(output_offset, input_offsets, count) for consecutive pieces of runs that make up the
  /// output's elements [begin, end).
  template <class Fn>
  void for_each_run(int64_t begin, int64_t end, Fn&& fn) const {
    if (sizes_.size() == 1) {  // one run: no division
      Offsets at{};
      for (int i = 0; i < num_inputs_; ++i) at[i] = begin * strides_[0][i];
      fn(begin, std::as_const(at), end - begin);
      return;
    }
    std::array<int64_t, kMaxRank> index;
    Offsets offsets = start(begin, index);
    const size_t last = sizes_.size() - 1;
    for (int64_t at = begin; at < end;) {
      const int64_t count = std::min(sizes_[last] - index[last], end - at);
      fn(at, offsets, count);
      at += count;
      index[last] += count;
      for (int i = 0; i < num_inputs_; ++i) offsets[i] += count * strides_[last][i];
      for (size_t axis = last; index[axis] == sizes_[axis] && axis > 0; --axis) {
        index[axis] = 0;
        ++index[axis - 1];
        for (int i = 0; i < num_inputs_; ++i)
          offsets[i] += strides_[axis - 1][i] - sizes_[axis] * strides_[axis][i];
      }
    }
  }

 private:
  Offsets start(int64_t element, std::array<int64_t, kMaxRank>& index) const;

  int num_inputs_;
  int64_t num_elements_ = 1;
  std::vector<int64_t> sizes_;    // merged axes, outermost first; never empty
  std::vector<Offsets> strides_;  // of each axis, for each input, in elements
};

}  // namespace cohort::cpu
