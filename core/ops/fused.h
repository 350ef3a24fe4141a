#pragma once

#include <optional>
#include <span>
#include <vector>

#include "cohort/core/graph/op.h"

/// Several elementwise ops as one, made by the compiler (fuse_elementwise) and computed block by
/// block, so that what lies between them never leaves the caches.
namespace cohort::ops {

/// Op "FusedElementwise". Attr "body": a graph of elementwise ops, bound to numbers, whose
/// placeholders are this node's inputs in order and whose last node is the result. Every node of
/// the body has the result's shape; inputs may be broadcast as FusedWalk says.
void register_fused(OpRegistry& ops);

/// The result of a fused node seen as [rows, columns], and how each input moves over it.
struct FusedWalk {
  struct Input {
    bool by_row = false;     ///< another element in each row
    bool by_column = false;  ///< another element in each column
    bool operator==(const Input&) const = default;
  };
  int64_t rows = 1;
  int64_t columns = 1;
  std::vector<Input> inputs;
};

/// The walk over `output` with these inputs, each of which is of the output's shape, one number, or
/// equal to it in some last dimensions (in some first ones) and 1 in all others; the same
/// dimensions for all inputs. None where an input is broadcast in another way. Wants numbers, no
/// symbols.
std::optional<FusedWalk> plan_fused_walk(const Shape& output, std::span<const Shape> inputs);

}  // namespace cohort::ops
