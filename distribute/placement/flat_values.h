#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cohort/core/ops/segments.h"
#include "cohort/distribute/placement/mirrored.h"
#include "cohort/distribute/placement/sharded_gradients.h"
#include "cohort/distribute/placement/zero.h"

namespace cohort::distribute {

// What a trace does to the gradient of each variable of a group, one node for each, is done once to
// the group's range: a bundle, values that are made alike, one for each segment, becomes one flat
// value. At its ends stand the sums over replicas, which are one ReduceScatter; reads of slots,
// which are one read of the group's slot; and numbers, the same for all or one for each segment.
using Bundle = std::vector<Value>;

/// A group and what it is to the trace.
struct PlacedPart {
  std::shared_ptr<ParameterGroup> group;
  int64_t number = 0;
  UpdatePart part;
  std::map<ValueKey, Value> flat;  ///< by the first of a bundle
};

/// Knows of which values of a trace each device has a part alone, and makes flat values of them.
class FlatLowering : public MirroredLowering {
 protected:
  FlatLowering(const Trace& trace, const StepRows& rows, const ZeroOptions& options);

  static size_t updated(const Node& node);
  static const std::shared_ptr<VariableState>& variable_of(const Node& node, size_t i);
  static ops::SegmentTable table_of(const ParameterGroup& group);

  bool is_slot_read(const Node& node) const;
  /// Whether each device has a part of it alone.
  bool is_sharded(Value value);
  PlacedPart& part_of(Value sum);

  /// The one value of the group that stands for these of its segments. `user` reads them.
  Value flat(PlacedPart& part, Bundle bundle, const Node& user);

  [[noreturn]] void refuse_reader(const std::string& reader, Value value);
  /// Of the k-th of a bundle, which is not like the first.
  [[noreturn]] static void refuse_difference(const PlacedPart& part, size_t k, const Node& user,
                                             const Bundle& bundle);

  const Mesh mesh_;
  const ZeroOptions options_;
  ShardedGradients gradients_;
  std::map<int, std::vector<PlacedPart>> updates_;    ///< by the update's id
  std::map<ValueKey, std::pair<int, size_t>> owner_;  ///< of each sum: which of whose parts
  std::map<ValueKey, Value> local_;                   ///< what this replica gives to a sum
  std::set<const VariableState*> slots_;

 private:
  Value make_flat(PlacedPart& part, const Bundle& bundle, const Node& user);
  Value reduce_scatter(const PlacedPart& part);
  Value read_slot(PlacedPart& part, const Bundle& bundle, const Node& user);
  Value numbers(const PlacedPart& part, const Bundle& bundle, const Node& user);
  Value spread(const PlacedPart& part, const Bundle& bundle, const Node& user);
};

}  // namespace cohort::distribute
