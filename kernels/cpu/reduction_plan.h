#pragma once

#include <algorithm>
#include <vector>

#include "cohort/core/graph/attr.h"
#include "cohort/core/shape.h"

namespace cohort::cpu {

/// A row-major input seen as alternating groups of kept and reduced axes, for the reductions of
/// core/ops/reduce.h (attribute "axis", normalised; empty: all axes).
struct ReductionPlan {
  ReductionPlan(const Shape& input, const Attrs& attrs);

  struct Axis {
    int64_t size;
    int64_t stride;
  };
  std::vector<Axis> kept;     ///< merged, outermost first; the output is row-major over them
  std::vector<Axis> reduced;  ///< merged, outermost first
  int64_t num_outputs = 1;
  int64_t num_reduced = 1;  ///< elements that make one output
  /// Outputs that lie side by side in the input as well: the last kept group, 1 when the innermost
  /// axis is reduced.
  int64_t inner = 1;

  /// Where the elements of output `index` begin.
  int64_t base(int64_t index) const;

  /// Calls fn(offset) for each of num_reduced elements in row-major order, from `begin` to `end`.
  template <class Fn>
  void for_each(int64_t begin, int64_t end, Fn&& fn) const {
    if (reduced.empty()) {
      if (begin < end) fn(int64_t{0});
      return;
    }
    const Axis last = reduced.back();
    for (int64_t at = begin; at < end;) {
      int64_t rest = at / last.size;
      const int64_t first = at % last.size;
      int64_t offset = first * last.stride;
      for (size_t axis = reduced.size() - 1; axis-- > 0;) {
        offset += rest % reduced[axis].size * reduced[axis].stride;
        rest /= reduced[axis].size;
      }
      const int64_t count = std::min(last.size - first, end - at);
      for (int64_t i = 0; i < count; ++i) fn(offset + i * last.stride);
      at += count;
    }
  }
};

}  // namespace cohort::cpu
