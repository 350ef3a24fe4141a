#include <map>

#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/passes.h"

namespace cohort {
namespace {

std::string key_of(const Attr& attr) {
  return std::visit(
      [](const auto& value) -> std::string {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, Tensor>) {
          const Tensor dense = value.contiguous();
          return fmt::format("{} {} ", value.dtype(), value.shape()) +
                 std::string(static_cast<const char*>(dense.raw()), dense.num_bytes());
        } else if constexpr (std::is_same_v<T, std::shared_ptr<const Graph>>) {
          return fmt::format("graph {}", static_cast<const void*>(value.get()));
        } else if constexpr (std::is_same_v<T, std::vector<int64_t>> ||
                             std::is_same_v<T, std::vector<double>> ||
                             std::is_same_v<T, std::vector<std::string>>) {
          std::string text;
          for (const auto& element : value) text += fmt::format("{},", element);
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
    key += fmt::format("|{}={}:", name, attr.index()) + key_of(attr);
  return key;
}

}  // namespace

GraphFunction merge_common_subexpressions(const GraphFunction& function) {
  Rewriter rewriter(*function.graph, function.fetches);
  std::map<std::string, Node*> seen;
  for (const Node* node : rewriter.nodes()) {
    const OpDef& op = node->op();
    const bool unique =
        op.stateful || op.commit || op.name == "Placeholder" || !node->control_inputs().empty();
    if (unique) {
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

}  // namespace cohort
