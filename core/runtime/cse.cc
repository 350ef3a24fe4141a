#include <map>

#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/passes.h"

namespace cohort {
namespace {

/// So that no two lists of texts read alike when they stand one after the other.
std::string sized(const std::string& text) { return std::to_string(text.size()) + ":" + text; }

std::string key_of(const Graph& nested);

std::string key_of(const Attr& attr) {
  return std::visit(
      [](const auto& value) -> std::string {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, Tensor>) {
          const Tensor dense = value.contiguous();
          return fmt::format("{} {} ", value.dtype(), value.shape()) +
                 std::string(static_cast<const char*>(dense.raw()), dense.num_bytes());
        } else if constexpr (std::is_same_v<T, std::shared_ptr<const Graph>>) {
          return key_of(*value);
        } else if constexpr (std::is_same_v<T, std::vector<int64_t>> ||
                             std::is_same_v<T, std::vector<double>> ||
                             std::is_same_v<T, std::vector<std::string>>) {
          std::string text;
          for (const auto& element : value) text += sized(fmt::format("{}", element));
          return text;
        } else {
          return fmt::format("{}", value);
        }
      },
      attr);
}

std::string key_of(const Node& node, const std::vector<Value>& inputs) {
  std::string key = node.op_name() + "|" + node.device().to_string() + "|";
  for (const Value& input : inputs) key += fmt::format("{}:{},", input.node()->id(), input.index());
  for (const auto& [name, attr] : node.attrs().entries())
    key += "|" + name + "=" + std::to_string(attr.index()) + sized(key_of(attr));
  return key;
}

/// Names aside: what a graph computes. Its nodes refer to variables by numbers of its own.
std::string key_of(const Graph& nested) {
  std::string key = "{";
  for (const auto& variable : nested.variables())
    key += fmt::format("{};", static_cast<const void*>(variable.get()));
  for (const auto& node : nested.nodes()) key += key_of(*node, node->inputs()) + "\n";
  return key + "}";
}

GraphFunction merge(const Graph& graph, std::span<const Value> fetches) {
  Rewriter rewriter(graph, fetches, [](const Node&, const Graph& nested, auto results) {
    return merge(nested, results);
  });
  std::map<std::string, Node*> seen;
  for (const Node* node : rewriter.nodes()) {
    if (!is_pure(*node) || !node->control_inputs().empty()) {
      rewriter.copy(*node);
      continue;
    }
    const std::string key = key_of(*node, rewriter.mapped_inputs(*node));
    const auto it = seen.find(key);
    if (it == seen.end()) {
      seen[key] = rewriter.copy(*node);
      continue;
    }
    for (int i = 0; i < node->num_outputs(); ++i)
      rewriter.replace(Value(const_cast<Node*>(node), i), it->second->output(i));
  }
  return rewriter.finish();
}

}  // namespace

GraphFunction merge_common_subexpressions(const GraphFunction& function) {
  return merge(*function.graph, function.fetches);
}

}  // namespace cohort
