#include "core/runtime/passes.h"

namespace cohort {
namespace {

/// Records what symbols the dimensions of `symbolic` stand for when its numbers are `bound`'s.
void learn(const Shape& symbolic, const Shape& bound, SymbolBindings& bindings) {
  for (int axis = 0; axis < symbolic.rank(); ++axis)
    if (symbolic[axis].is_symbol() && !bound[axis].is_symbol())
      bindings.emplace(symbolic[axis].symbol(), bound.size(axis));
}

Shape substitute(const Shape& shape, const SymbolBindings& bindings, const Node& node) {
  Shape bound = shape;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!shape[axis].is_symbol()) continue;
    const auto it = bindings.find(shape[axis].symbol());
    if (it == bindings.end())
      throw InvalidArgument("{}: got no number for dimension {}; want it bound by an input",
                            node.name(), shape[axis].symbol());
    bound[axis] = Dim(it->second);
  }
  return bound;
}

}  // namespace

GraphFunction bind(const Graph& graph, std::span<const Value> fetches,
                   const SymbolBindings& given) {
  SymbolBindings bindings = given;
  Rewriter rewriter(graph, fetches);
  for (const Node* node : rewriter.nodes()) {
    Attrs attrs = node->attrs();
    for (const auto& [name, attr] : node->attrs().entries())
      if (const Shape* shape = std::get_if<Shape>(&attr))
        attrs.set(name, substitute(*shape, bindings, *node));
    const Node* bound = rewriter.copy(*node, std::move(attrs));
    for (int i = 0; i < node->num_outputs(); ++i)
      learn(node->output_types()[i].shape, bound->output_types()[i].shape, bindings);
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
    if (!fits)
      throw InvalidArgument("{}: got {} {}; want {} {}{}", placeholders[i]->name(), got.dtype,
                            got.shape, want.dtype, want.shape,
                            bindings.count("N") ? fmt::format(" with N = {}", bindings["N"]) : "");
  }
  return bindings;
}

}  // namespace cohort
