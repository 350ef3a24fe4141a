#include "cohort/core/graph/gradients.h"

#include <algorithm>
#include <unordered_map>

#include "cohort/core/graph/scope.h"

namespace cohort {
namespace {

// The ops that accumulation itself records, by name: the graph knows no more of ops than that.

Value add(Value a, Value b) { return a.graph().add("Add", {a, b})->output(); }

Value concat_rows(std::vector<Value> values) {
  Graph& graph = values.front().graph();
  return graph.add("Concat", std::move(values), {{"axis", int64_t{0}}})->output();
}

Value ones_like(Value x) {
  return x.graph()
      .add("Fill", {}, {{"shape", x.shape()}, {"dtype", x.dtype()}, {"value", 1.0}})
      ->output();
}

/// Adds contributions in the order in which they came, so that sums are reproducible.
Gradient accumulate(const std::vector<Gradient>& parts) {
  if (parts.empty()) return {};
  if (parts.size() == 1) return parts.front();
  const bool all_slices =
      std::all_of(parts.begin(), parts.end(), [](const Gradient& g) { return g.is_slices(); });
  if (all_slices) {
    std::vector<Value> indices, values;
    for (const Gradient& part : parts) {
      indices.push_back(part.slices().indices);
      values.push_back(part.slices().values);
    }
    return Slices{concat_rows(std::move(indices)), concat_rows(std::move(values)),
                  parts.front().slices().dense_shape};
  }
  Value sum = parts.front().dense();
  for (size_t i = 1; i < parts.size(); ++i) sum = add(sum, parts[i].dense());
  return sum;
}

/// For each node of the graph: does a value of `xs` lie on or before it?
std::vector<bool> depends_on(const Graph& graph, std::span<const Value> xs) {
  std::vector<bool> reached(graph.nodes().size(), false);
  for (const Value& x : xs) reached[x.node()->id()] = true;
  for (const auto& node : graph.nodes())
    for (const Value& input : node->inputs())
      if (reached[input.node()->id()]) reached[node->id()] = true;
  return reached;
}

struct Contributions {
  std::vector<std::vector<Gradient>> of_output;  ///< for each output, what arrived so far
};

}  // namespace

std::vector<Gradient> gradients(std::span<const Value> ys, std::span<const Value> xs,
                                std::span<const Value> dys) {
  if (ys.empty())
    throw InvalidArgument("gradients: got no value to differentiate; want one or more");
  if (!dys.empty() && dys.size() != ys.size())
    throw InvalidArgument("gradients: got {} dys for {} ys; want one for each", dys.size(),
                          ys.size());
  Graph& graph = ys.front().graph();
  for (const Value& x : xs)
    if (&x.graph() != &graph)
      throw InvalidArgument("gradients: got {} of another graph; want values of one graph",
                            x.node()->name());

  GraphScope graph_scope(graph);
  StageScope stage_scope(Stage::kBackward);
  const std::vector<bool> needed = depends_on(graph, xs);
  std::unordered_map<const Node*, Contributions> arrived;
  const auto contribute = [&](Value value, Gradient gradient) {
    Contributions& slot = arrived[value.node()];
    slot.of_output.resize(static_cast<size_t>(value.node()->num_outputs()));
    slot.of_output[static_cast<size_t>(value.index())].push_back(gradient);
  };
  int last = 0;
  for (size_t i = 0; i < ys.size(); ++i) {
    contribute(ys[i], dys.empty() ? ones_like(ys[i]) : dys[i]);
    last = std::max(last, ys[i].node()->id());
  }

  std::unordered_map<const Node*, std::vector<Gradient>> totals;
  for (int id = last; id >= 0; --id) {
    Node& node = *graph.nodes()[static_cast<size_t>(id)];
    const auto it = arrived.find(&node);
    if (it == arrived.end() || !needed[id]) continue;
    NameScope scope("gradients/" + node.name());
    DeviceScope device_scope(node.device().to_string());
    std::vector<Gradient> dy;
    for (const auto& parts : it->second.of_output) dy.push_back(accumulate(parts));
    totals[&node] = dy;
    const bool passes_on =
        std::any_of(node.inputs().begin(), node.inputs().end(),
                    [&](const Value& input) { return needed[input.node()->id()]; });
    if (!passes_on) continue;
    if (!node.op().gradient)
      throw Unimplemented("gradients: got a path through {} ({}), which has no gradient",
                          node.name(), node.op_name());
    Gradients dx = node.op().gradient(node, dy);
    if (dx.empty()) continue;
    COHORT_CHECK(dx.size() == node.inputs().size());
    for (size_t i = 0; i < dx.size(); ++i)
      if (!dx[i].absent() && needed[node.inputs()[i].node()->id()])
        contribute(node.inputs()[i], dx[i]);
  }

  std::vector<Gradient> result;
  for (const Value& x : xs) {
    const auto it = totals.find(x.node());
    result.push_back(it == totals.end() ? Gradient() : it->second[static_cast<size_t>(x.index())]);
  }
  return result;
}

std::vector<Gradient> gradients(Value y, std::span<const Value> xs) {
  return gradients(std::span<const Value>(&y, 1), xs);
}

}  // namespace cohort
