#pragma once

#include "cohort/core/runtime/executable.h"
#include "cohort/core/runtime/rewrite.h"

/// The compiler's passes. Each takes a graph and returns a new one that computes the same; each can
/// run alone. Dead nodes fall away in every pass, and every pass goes through the graphs that nodes
/// hold as well (rewrite.h).
namespace cohort {

class Device;
class Runtime;

/// Puts numbers in place of symbols, in attributes and types; derived symbols ("N+M") follow from
/// the ops' shape rules.
GraphFunction bind(const Graph& graph, std::span<const Value> fetches,
                   const SymbolBindings& bindings);

/// Of a step that says when it commits (core/ops/commit_condition.h): its updates write only then.
GraphFunction apply_commit_conditions(const Graph& graph, std::span<const Value> fetches);

/// For one replica: what is reduced, gathered or shared over replicas is its inputs.
GraphFunction drop_reductions(const Graph& graph, std::span<const Value> fetches);

/// Computes nodes whose inputs are all constants (on the CPU), and drops identities: x * 1, x + 0,
/// reshapes of reshapes, casts and transposes that change nothing.
GraphFunction fold_constants(Runtime& runtime, const GraphFunction& function);

/// Makes one of nodes that compute the same: same op, attributes, inputs and device. Never stateful
/// ops.
GraphFunction merge_common_subexpressions(const GraphFunction& function);

/// Fuses bias and activation into matmul and convolution, and masks gradients of relu before they
/// are spread by max pooling, and sums them before that.
GraphFunction fuse(const GraphFunction& function);

/// From how many bytes of values between them on elementwise ops are fused. Below, these stay in
/// the caches and each op runs at their speed: benchmarks/fused_chains.cc found no gain.
inline constexpr size_t kSmallestFusedBytes = 64 << 20;

/// Makes one FusedElementwise of elementwise ops between which values pass that nobody else needs,
/// where the device (`device`, unless nodes request another) has kernels for it. The same bits:
/// the kernels of the ops run on blocks. Wants a graph bound to numbers.
GraphFunction fuse_elementwise(Runtime& runtime, Device& device, const GraphFunction& function,
                               size_t smallest_bytes = kSmallestFusedBytes);

}  // namespace cohort
