#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "cohort/kernels/cuda/elementwise.h"

namespace cohort::cuda {

template <class Op>
using NamedOps = std::span<const std::pair<std::string_view, Op>>;

// By the names of core/ops/math.h.
NamedOps<UnaryOp> unary_ops();
NamedOps<BinaryOp> binary_ops();
NamedOps<CompareOp> compare_ops();

template <class Op>
std::optional<Op> find_op(NamedOps<Op> ops, std::string_view name) {
  for (const auto& [of, op] : ops)
    if (of == name) return op;
  return {};
}

}  // namespace cohort::cuda
