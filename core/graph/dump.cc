#include "cohort/core/graph/dump.h"

#include <fmt/format.h>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/variable.h"

namespace cohort {
namespace {

constexpr int64_t kShownElements = 8;

std::string join(const auto& values, auto&& show) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : ", ") + show(value);
  return text;
}

std::string show_type(const TensorType& type) {
  return fmt::format("{} {}", dtype_name(type.dtype), type.shape.to_string());
}

std::string show_value(const Value& value) {
  const std::string& name = value.node()->name();
  return value.index() == 0 ? name : fmt::format("{}:{}", name, value.index());
}

std::string show_tensor(const Tensor& tensor) {
  const std::string type = show_type({tensor.dtype(), tensor.shape()});
  if (tensor.num_elements() > kShownElements) return type;
  const Tensor wide = tensor.cast(DType::kF64).contiguous();
  return fmt::format("{} ({})", type, join(wide.values<double>(), [](double element) {
                       return fmt::format("{}", element);
                     }));
}

struct ShowAttr {
  const Graph& graph;
  bool variables;
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return fmt::format("{}", value); }
  std::string operator()(const std::string& value) const { return "\"" + value + "\""; }
  std::string operator()(DType value) const { return std::string(dtype_name(value)); }
  std::string operator()(const Shape& value) const { return value.to_string(); }
  std::string operator()(const std::vector<int64_t>& values) const {
    return "[" +
           join(values, [&](int64_t v) { return variables ? name_of(v) : fmt::format("{}", v); }) +
           "]";
  }
  std::string operator()(const std::vector<double>& values) const {
    return "[" + join(values, [](double v) { return fmt::format("{}", v); }) + "]";
  }
  std::string operator()(const std::vector<std::string>& values) const {
    return "[" + join(values, [](const std::string& v) { return "\"" + v + "\""; }) + "]";
  }
  std::string operator()(const Tensor& value) const { return show_tensor(value); }
  std::string operator()(const std::shared_ptr<const Graph>& value) const {
    return fmt::format("<{} nodes>", value->nodes().size());
  }
  std::string name_of(int64_t id) const {
    const auto& known = graph.variables();
    return id >= 0 && id < static_cast<int64_t>(known.size())
               ? known[static_cast<size_t>(id)]->name()
               : fmt::format("?{}", id);
  }
};

std::string show_attr(const Node& node, const Attrs::Entry& entry) {
  return entry.first + "=" +
         std::visit(ShowAttr{node.graph(), entry.first == "variables"}, entry.second);
}

void append_graph(const Graph& graph, const std::string& indent, std::string& text) {
  for (const auto& variable : graph.variables())
    text += fmt::format("{}variable {}: {}\n", indent, variable->name(),
                        show_type({variable->dtype(), variable->shape()}));
  for (const auto& node : graph.nodes()) {
    text += fmt::format("{}{}: {} = {}({})", indent, node->name(),
                        join(node->output_types(), show_type), node->op_name(),
                        join(node->inputs(), show_value));
    if (!node->attrs().entries().empty())
      text += fmt::format(" {{{}}}", join(node->attrs().entries(), [&](const Attrs::Entry& entry) {
                            return show_attr(*node, entry);
                          }));
    if (!node->control_inputs().empty())
      text += " after " + join(node->control_inputs(), [](const Node* n) { return n->name(); });
    if (node->stage() == Stage::kBackward) text += " (backward)";
    if (node->device() != DeviceName()) text += " on " + node->device().to_string();
    text += "\n";
    for (const auto& [name, attr] : node->attrs().entries())
      if (const auto* nested = std::get_if<std::shared_ptr<const Graph>>(&attr))
        append_graph(**nested, indent + "    ", text);
  }
}

std::string escaped(const std::string& text) {
  std::string result;
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

}  // namespace

std::string dump_text(const Graph& graph) {
  std::string text;
  append_graph(graph, "", text);
  return text;
}

std::string dump_graphviz(const Graph& graph) {
  std::string text = "digraph cohort {\n  node [shape=box, fontname=\"monospace\"];\n";
  for (const auto& node : graph.nodes()) {
    const bool reads = node->op().source == Source::kVariable;
    text +=
        fmt::format("  n{} [label=\"{}\\n{}\"{}{}];\n", node->id(), escaped(node->name()),
                    escaped(node->op_name()), reads ? ", style=filled, fillcolor=lightgrey" : "",
                    node->stage() == Stage::kCommit ? ", style=bold" : "");
    for (const Value& input : node->inputs())
      text += fmt::format("  n{} -> n{} [label=\"{}\"];\n", input.node()->id(), node->id(),
                          escaped(show_type(input.type())));
    for (const Node* before : node->control_inputs())
      text += fmt::format("  n{} -> n{} [style=dashed];\n", before->id(), node->id());
  }
  return text + "}\n";
}

}  // namespace cohort
