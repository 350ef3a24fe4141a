#include "cohort/core/runtime/splice.h"

#include <unordered_map>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/serialize.h"
#include "cohort/core/runtime/rewrite.h"
#include "cohort/core/symbol.h"

namespace cohort {
namespace {

/// Derived symbols follow from numbers alone: a plain symbol becomes another one as a whole.
Dim bind_dim(const Dim& dim, const DimBindings& bindings, const SymbolBindings& numbers) {
  if (!dim.is_symbol()) return dim;
  const auto found = bindings.find(dim.symbol());
  return found == bindings.end() ? cohort::bind(dim, numbers) : found->second;
}

Attrs bind_attrs(const Attrs& attrs, const DimBindings& bindings, const SymbolBindings& numbers) {
  Attrs bound = attrs;
  for (const auto& [name, attr] : attrs.entries())
    if (const Shape* shape = std::get_if<Shape>(&attr)) {
      Shape result;
      for (const Dim& dim : shape->dims()) result.push_back(bind_dim(dim, bindings, numbers));
      bound.set(name, std::move(result));
    }
  return bound;
}

}  // namespace

void check_is_function(const Graph& graph) {
  const auto refuse = [](const Node& node, const char* what) {
    throw FailedPrecondition(
        "{} ({}): got a node that {}; want a function of the inputs and of "
        "variables that it reads",
        node.name(), node.op_name(), what);
  };
  for (const auto& node : graph.nodes()) {
    const OpDef& op = node->op();
    if (op.kind == OpKind::kUpdate || node->stage() == Stage::kCommit) refuse(*node, "writes");
    if (op.kind == OpKind::kCollective || op.vote != Vote::kNone || op.in_place)
      refuse(*node, "belongs to a step of several replicas");
    for (const auto& [name, attr] : node->attrs().entries())
      if (std::holds_alternative<std::shared_ptr<const Graph>>(attr))
        refuse(*node, "holds a graph");
    if (op.source != Source::kVariable && node->attrs().has("variables"))
      refuse(*node, "uses a variable otherwise");
  }
}

std::vector<Value> splice(const Graph& from, std::span<const Value> results, Graph& to,
                          std::span<const Value> arguments, const DimBindings& bindings,
                          const VariableSubstitution& variables) {
  COHORT_CHECK(arguments.size() == from.placeholders().size());
  SymbolBindings numbers;
  for (const auto& [symbol, dim] : bindings)
    if (!dim.is_symbol()) numbers.emplace(symbol, dim.number());
  const std::vector<bool> live = live_nodes(from, results);
  std::unordered_map<const Node*, std::vector<Value>> made;
  for (size_t i = 0; i < arguments.size(); ++i) made[from.placeholders()[i]] = {arguments[i]};
  for (const Node* node : topological_order(from)) {
    if (!live[static_cast<size_t>(node->id())] || made.contains(node)) continue;
    std::vector<Value>& outputs = made[node];
    if (node->op().source == Source::kVariable) {
      const auto number = node->attrs().get<std::vector<int64_t>>("variables").front();
      const auto& variable = from.variables()[static_cast<size_t>(number)];
      outputs = {to.read(variables ? variables(variable) : variable)};
      continue;
    }
    std::vector<Value> inputs;
    for (const Value& input : node->inputs())
      inputs.push_back(made.at(input.node())[static_cast<size_t>(input.index())]);
    NodeOptions options{.name = node->name()};
    for (const Node* before : node->control_inputs())
      if (!made.at(before).empty()) options.control_inputs.push_back(made.at(before)[0].node());
    Node* copy = to.add(node->op_name(), std::move(inputs),
                        bind_attrs(node->attrs(), bindings, numbers), std::move(options));
    for (int i = 0; i < copy->num_outputs(); ++i) outputs.push_back(copy->output(i));
  }
  std::vector<Value> found;
  for (const Value& result : results)
    found.push_back(made.at(result.node())[static_cast<size_t>(result.index())]);
  return found;
}

}  // namespace cohort
