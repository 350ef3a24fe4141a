#include "cohort/core/graph/serialize.h"

#include <queue>
#include <unordered_map>

#include "cohort/core/graph/op.h"
#include "cohort/core/wire/protobuf.h"

namespace cohort {
namespace {

using wire::Writer;

Writer write(const Shape& shape) {
  Writer out;
  for (const Dim& dim : shape.dims()) {
    Writer one;
    if (dim.is_symbol())
      one.write_bytes(2, dim.symbol());
    else
      one.write_uint(1, static_cast<uint64_t>(dim.number()));
    out.write_message(1, one);
  }
  return out;
}

Writer write(const Tensor& tensor) {
  const Tensor rows = tensor.contiguous();
  Writer out;
  out.write_uint(1, static_cast<uint64_t>(rows.dtype()));
  out.write_message(2, write(rows.shape()));
  out.write_bytes(3, {static_cast<const char*>(rows.raw()), rows.num_bytes()});
  return out;
}

/// One field per alternative of Attr.
struct AttrWriter {
  Writer& out;
  void operator()(bool value) { out.write_uint(2, value); }
  void operator()(int64_t value) { out.write_sint(3, value); }
  void operator()(double value) { out.write_double(4, value); }
  void operator()(const std::string& value) { out.write_bytes(5, value); }
  void operator()(DType value) { out.write_uint(6, static_cast<uint64_t>(value)); }
  void operator()(const Shape& value) { out.write_message(7, write(value)); }
  void operator()(const std::vector<int64_t>& values) {
    Writer list;
    list.write_packed_sint(1, values);
    out.write_message(8, list);
  }
  void operator()(const std::vector<double>& values) {
    Writer list;
    list.write_packed_double(1, values);
    out.write_message(9, list);
  }
  void operator()(const std::vector<std::string>& values) {
    Writer list;
    for (const std::string& value : values) list.write_bytes(1, value);
    out.write_message(10, list);
  }
  void operator()(const Tensor& value) { out.write_message(11, write(value)); }
  void operator()(const std::shared_ptr<const Graph>& value) {
    COHORT_CHECK(value != nullptr);
    out.write_bytes(12, serialize(*value));
  }
};

Writer write(const VariableState& variable) {
  const VariableOptions& options = variable.options();
  Writer out;
  out.write_bytes(1, variable.name());
  out.write_uint(2, static_cast<uint64_t>(variable.dtype()));
  out.write_message(3, write(variable.shape()));
  out.write_uint(4, options.trainable);
  out.write_uint(5, static_cast<uint64_t>(options.synchronization));
  out.write_uint(6, static_cast<uint64_t>(options.aggregation));
  return out;
}

using Positions = std::unordered_map<const Node*, uint64_t>;

Writer write(const Node& node, const Positions& positions) {
  std::vector<uint64_t> inputs, control_inputs;
  for (const Value& input : node.inputs()) {
    inputs.push_back(positions.at(input.node()));
    inputs.push_back(static_cast<uint64_t>(input.index()));
  }
  for (const Node* before : node.control_inputs()) control_inputs.push_back(positions.at(before));
  Writer out;
  out.write_bytes(1, node.name());
  out.write_bytes(2, node.op_name());
  out.write_packed_uint(3, inputs);
  out.write_packed_uint(4, control_inputs);
  for (const auto& [name, value] : node.attrs().entries()) {
    Writer attr;
    attr.write_bytes(1, name);
    std::visit(AttrWriter{attr}, value);
    out.write_message(5, attr);
  }
  out.write_bytes(6, node.device().to_string());
  if (node.stage() != Stage::kForward) out.write_uint(7, static_cast<uint64_t>(node.stage()));
  return out;
}

}  // namespace

std::vector<const Node*> topological_order(const Graph& graph) {
  const size_t n = graph.nodes().size();
  std::vector<int> waiting(n, 0);
  std::vector<std::vector<int>> users(n);
  const auto depend = [&](const Node& node, const Node& before) {
    users[static_cast<size_t>(before.id())].push_back(node.id());
    ++waiting[static_cast<size_t>(node.id())];
  };
  for (const auto& node : graph.nodes()) {
    for (const Value& input : node->inputs()) depend(*node, *input.node());
    for (const Node* before : node->control_inputs()) depend(*node, *before);
  }
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (size_t id = 0; id < n; ++id)
    if (waiting[id] == 0) ready.push(static_cast<int>(id));
  std::vector<const Node*> order;
  while (!ready.empty()) {
    const auto id = static_cast<size_t>(ready.top());
    ready.pop();
    order.push_back(graph.nodes()[id].get());
    for (int user : users[id])
      if (--waiting[static_cast<size_t>(user)] == 0) ready.push(user);
  }
  if (order.size() != n) throw Internal("graph: got a cycle among {} nodes", n - order.size());
  return order;
}

std::string serialize_tensors(const std::vector<Tensor>& tensors) {
  Writer out;
  for (const Tensor& tensor : tensors) out.write_message(1, write(tensor));
  return out.take();
}

std::string serialize(const Graph& graph) {
  Writer out;
  for (const auto& variable : graph.variables()) out.write_message(1, write(*variable));
  Positions positions;
  for (const Node* node : topological_order(graph)) {
    out.write_message(2, write(*node, positions));
    positions.emplace(node, positions.size());
  }
  return out.take();
}

wire::Hash128 graph_hash(const Graph& graph) { return wire::hash128(serialize(graph)); }

}  // namespace cohort
