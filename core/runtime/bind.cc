#include "cohort/core/ops/collective.h"
#include "cohort/core/runtime/passes.h"
#include "cohort/core/symbol.h"

namespace cohort {
namespace {

Shape bind_all(const Shape& shape, const SymbolBindings& bindings, const Node& node) {
  const Shape bound = bind(shape, bindings);
  for (const Dim& dim : bound.dims())
    if (dim.is_symbol())
      throw InvalidArgument("{}: got no number for dimension {}; want it bound by an input",
                            node.name(), dim);
  return bound;
}

/// What the sizes of gathered tensors are on a single replica.
SymbolBindings with_one_replica(SymbolBindings bindings) {
  bindings.emplace(std::string(ops::kNumReplicas), 1);
  if (const auto rows = bindings.find(batch_dim().symbol()); rows != bindings.end())
    bindings.emplace(std::string(ops::kGlobalRows), rows->second);
  return bindings;
}

}  // namespace

GraphFunction bind(const Graph& graph, std::span<const Value> fetches,
                   const SymbolBindings& given) {
  const SymbolBindings bindings = with_one_replica(given);
  Rewriter rewriter(graph, fetches, [&](const Node&, const Graph& nested, auto results) {
    return bind(nested, results, bindings);
  });
  for (const Node* node : rewriter.nodes()) {
    Attrs attrs = node->attrs();
    for (const auto& [name, attr] : node->attrs().entries())
      if (const Shape* shape = std::get_if<Shape>(&attr))
        attrs.set(name, bind_all(*shape, bindings, *node));
    rewriter.copy(*node, std::move(attrs));
  }
  return rewriter.finish();
}

SymbolBindings bind_symbols(const Graph& graph, std::span<const TensorType> inputs) {
  const auto& placeholders = graph.placeholders();
  if (inputs.size() != placeholders.size())
    throw InvalidArgument("inputs: got {} tensors; want {}", inputs.size(), placeholders.size());
  SymbolBindings bindings;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorType& want = placeholders[i]->output_types()[0];
    const TensorType& got = inputs[i];
    bool fits = got.dtype == want.dtype && got.shape.rank() == want.shape.rank();
    for (int axis = 0; fits && axis < want.shape.rank(); ++axis) {
      const Dim& dim = want.shape[axis];
      if (dim.is_symbol()) {
        fits = bindings.emplace(dim.symbol(), got.shape.size(axis)).first->second ==
               got.shape.size(axis);
      } else {
        fits = dim == got.shape[axis];
      }
    }
    const auto rows = bindings.find(batch_dim().symbol());
    if (!fits)
      throw InvalidArgument(
          "{}: got {} {}; want {} {}{}", placeholders[i]->name(), got.dtype, got.shape, want.dtype,
          want.shape,
          rows == bindings.end() ? "" : fmt::format(" with {} = {}", rows->first, rows->second));
  }
  return bindings;
}

}  // namespace cohort
