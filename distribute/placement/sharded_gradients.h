#pragma once

#include <map>
#include <utility>
#include <vector>

#include "cohort/core/graph/graph.h"

namespace cohort::distribute {

/// Orders values of one graph.
using ValueKey = std::pair<const Node*, int>;
inline ValueKey key_of(Value value) { return {value.node(), value.index()}; }

/// Variables of one update that go together, by their places among those of the update, in the
/// order in which their gradients become ready.
struct UpdatePart {
  std::vector<size_t> members;
  std::vector<Value> sums;  ///< of each: the result over all replicas that its gradient is made of
  double weight_decay = 0;
};

/// What updates of groups in a trace are made of.
class ShardedGradients {
 public:
  /// The sum over all replicas from which elementwise ops make `value`; undefined where there is
  /// none. Of slices that are made dense: their values.
  Value sum_of(Value value);

  /// Cuts the variables of an update into parts of one weight decay, one dtype of gradients and
  /// about `part_bytes`. Throws Unimplemented, naming node and variable, where a gradient is no
  /// elementwise function of a sum over replicas, or the update is none of its gradient.
  std::vector<UpdatePart> cut(const Node& update, size_t part_bytes);

 private:
  std::map<ValueKey, Value> known_;
};

/// Whether nodes that differ in their inputs alone, or constants of equal elements, stand there.
bool do_the_same(const Node& a, const Node& b);

}  // namespace cohort::distribute
