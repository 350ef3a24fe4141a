#pragma once

#include <optional>
#include <vector>

#include "cohort/core/graph/graph.h"
#include "cohort/kernels/cpu/simd/element_code.h"

namespace cohort::cpu::vector {

/// A body of an update as steps on vectors (simd/element_code.h). Places of operands: its arrays
/// (gradient, parameter, slots), then temporaries of one tile, then `numbers`.
struct ElementCode {
  struct Operand {
    size_t place = 0;
    bool is_number = false;
  };
  struct Step {
    ElementOp op;
    Operand b = {}, c = {};
  };
  std::vector<Step> steps;
  size_t num_temporaries = 0;
  std::vector<const Node*> numbers;
};

/// Nothing for a body with an op that there is no step for, or with elements of several dtypes.
std::optional<ElementCode> element_code_of(const Graph& body, size_t num_arrays);

}  // namespace cohort::cpu::vector
