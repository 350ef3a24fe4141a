#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/fusions.h"
#include "cohort/core/runtime/passes.h"

// Looks at every node, in order, for the patterns of the table (fusions.h) that end there; then
// copies the graph, with a replacement in the place of each pattern's root and without the nodes
// inside. Names are looked up once: nodes are compared by their OpDef.
namespace cohort {
namespace {

struct KnownPattern {
  const OpDef* op = nullptr;  ///< null: any value
  std::vector<KnownPattern> inputs;
  bool stays = false;
};

struct KnownFusion {
  const Fusion* fusion;
  KnownPattern pattern;
  const OpDef* made;
};

/// None where `ops` lack one of the pattern's.
std::optional<KnownPattern> look_up(const Pattern& pattern, const OpRegistry& ops) {
  KnownPattern known{.stays = pattern.stays};
  if (pattern.op.empty()) return known;
  if (!ops.has(pattern.op)) return std::nullopt;
  known.op = &ops.get(pattern.op);
  for (const Pattern& input : pattern.inputs) {
    auto part = look_up(input, ops);
    if (!part) return std::nullopt;
    known.inputs.push_back(std::move(*part));
  }
  return known;
}

using Table = std::unordered_map<const OpDef*, std::vector<KnownFusion>>;

/// The fusions by the op of their root.
Table look_up_all(const OpRegistry& ops) {
  Table table;
  for (const Fusion& fusion : fusions())
    if (auto pattern = look_up(fusion.pattern, ops); pattern && ops.has(fusion.op))
      table[pattern->op].push_back({&fusion, std::move(*pattern), &ops.get(fusion.op)});
  return table;
}

class Fuser {
 public:
  Fuser(const Graph& graph, std::span<const Value> fetches, const Table& table)
      : table_(table),
        uses_(count_uses(graph, fetches)),
        rewriter_(graph, fetches, [&table](const Node&, const Graph& nested, auto results) {
          return Fuser(nested, results, table).run();
        }) {}

  GraphFunction run() {
    for (const Node* node : rewriter_.nodes()) find(*node);
    for (const Node* node : rewriter_.nodes()) {
      if (absorbed_.count(node)) continue;
      const auto it = found_.find(node);
      if (it == found_.end()) {
        rewriter_.copy(*node);
      } else {
        const auto& [fusion, match] = it->second;
        rewriter_.replace(Value(const_cast<Node*>(node), 0),
                          fusion->fusion->make(*fusion->fusion, match, rewriter_));
      }
    }
    return rewriter_.finish();
  }

 private:
  struct Found {
    const KnownFusion* fusion;
    Match match;
  };

  void find(const Node& root) {
    const auto it = table_.find(&root.op());
    if (it == table_.end()) return;
    for (const KnownFusion& known : it->second) {
      Match match;
      std::vector<const Node*> inside;
      if (!matches(known.pattern, root, match, inside) || !known.fusion->fits(match)) continue;
      for (const Node* node : inside) {
        found_.erase(node);
        absorbed_.insert(node);
      }
      found_.insert({&root, {&known, std::move(match)}});
      return;
    }
  }

  bool matches(const KnownPattern& pattern, const Node& node, Match& match,
               std::vector<const Node*>& inside) const {
    match.nodes.push_back(&node);
    for (size_t i = 0; i < pattern.inputs.size(); ++i)
      if (!matches(pattern.inputs[i], node.inputs()[i], match, inside)) return false;
    return true;
  }

  bool matches(const KnownPattern& pattern, Value value, Match& match,
               std::vector<const Node*>& inside) const {
    if (!pattern.op) {
      match.values.push_back(value);
      return true;
    }
    const Node& node = *value.node();
    if (pattern.stays ? op_afterwards(node) != pattern.op
                      : &node.op() != pattern.op || !is_used_once(value))
      return false;
    if (!pattern.stays) inside.push_back(&node);
    return matches(pattern, node, match, inside);
  }

  const OpDef* op_afterwards(const Node& node) const {
    const auto it = found_.find(&node);
    return it == found_.end() ? &node.op() : it->second.fusion->made;
  }

  bool is_used_once(Value value) const { return uses_[value.node()->id()][value.index()] == 1; }

  const Table& table_;
  std::vector<std::vector<int>> uses_;
  Rewriter rewriter_;
  std::unordered_map<const Node*, Found> found_;
  std::unordered_set<const Node*> absorbed_;
};

}  // namespace

GraphFunction fuse(const GraphFunction& function) {
  const Table table = look_up_all(function.graph->ops());
  return Fuser(*function.graph, function.fetches, table).run();
}

}  // namespace cohort
