#pragma once

#include "core/runtime/executable.h"
#include "core/runtime/rewrite.h"

/// The compiler's passes. Each takes a graph and returns a new one that computes the same; each can
/// run alone. Dead nodes fall away in every pass.
namespace cohort {

class Runtime;

/// Puts numbers in place of symbols, in attributes and types; derived symbols ("N+M") follow from
/// the ops' shape rules.
GraphFunction bind(const Graph& graph, std::span<const Value> fetches,
                   const SymbolBindings& bindings);

/// For one replica: reductions and gathers over replicas pass their inputs on.
GraphFunction drop_reductions(const GraphFunction& function);

/// Computes nodes whose inputs are all constants (on the CPU), and drops identities: x * 1, x + 0,
/// reshapes of reshapes, casts and transposes that change nothing.
GraphFunction fold_constants(Runtime& runtime, const GraphFunction& function);

/// Makes one of nodes that compute the same: same op, attributes, inputs and device. Never stateful
/// ops.
GraphFunction merge_common_subexpressions(const GraphFunction& function);

/// Fuses bias and activation into matmul and convolution, and masks gradients of relu before they
/// are spread by max pooling, and sums them before that.
GraphFunction fuse(const GraphFunction& function);

}  // namespace cohort
