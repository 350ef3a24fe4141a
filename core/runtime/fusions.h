#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "cohort/core/runtime/rewrite.h"

namespace cohort {

/// What a fusion looks for: a node of an op whose inputs are made by nodes in their turn.
struct Pattern {
  std::string_view op = {};          ///< empty: any value
  std::vector<Pattern> inputs = {};  ///< one for each input of the node; empty: any
  /// The node may have other users, and stays for them. Without it nobody but the pattern uses the
  /// node, which goes.
  bool stays = false;
};

/// A place where a pattern is found.
struct Match {
  /// What stands for the ops of the pattern: the root first, then its inputs, depth first.
  std::vector<const Node*> nodes;
  /// What stands for any value, in the same order.
  std::vector<Value> values;
};

/// One line of the table: what is looked for, and what takes the place of its root. The only code
/// that knows ops by their names; everything else in core/runtime asks for traits (OpDef).
struct Fusion {
  Pattern pattern;
  std::string_view op;  ///< of the node that makes the root's value afterwards
  Attrs attrs = {};     ///< of that node, besides those of what it replaces
  /// What must hold besides the ops.
  bool (*fits)(const Match& match);
  /// Records the replacement and returns its value. All nodes before the root are mapped.
  Value (*make)(const Fusion& fusion, const Match& match, Rewriter& rewriter);
};

/// The table. Of several patterns that fit at a node the first is taken, and it wins over those
/// found at the nodes inside it. A pattern sees a node that was the root of another as what it has
/// become.
const std::vector<Fusion>& fusions();

}  // namespace cohort
