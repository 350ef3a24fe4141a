#pragma once

#include <cstdint>
#include <vector>

#include "cohort/core/tensor.h"

namespace cohort::data {

/// One item of a dataset: its components in a fixed order (features…, labels, sample weights as the
/// dataset's author chose; a trainer decides what each position means).
using Element = std::vector<Tensor>;

/// dtype and shape of one component. A dimension that may differ between elements is a symbol.
struct ComponentSpec {
  DType dtype;
  Shape shape;
  bool operator==(const ComponentSpec&) const = default;
};
using ElementSpec = std::vector<ComponentSpec>;

/// Values of Dataset::cardinality() that are not a number of elements.
inline constexpr int64_t kInfiniteCardinality = -1;
inline constexpr int64_t kUnknownCardinality = -2;

/// "Choose for me", for prefetch.
inline constexpr int64_t kAutotune = -1;

}  // namespace cohort::data
