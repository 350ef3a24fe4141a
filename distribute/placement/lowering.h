#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/runtime/function.h"
#include "cohort/core/runtime/rewrite.h"

namespace cohort::distribute {

/// Makes a placed graph of a trace (Strategy::Impl::place): every op of core/ops/cross_replica.h
/// becomes what a subclass makes of it, and all else stays. Names, devices, placeholders and random
/// streams stay. For one use.
class Lowering {
 public:
  explicit Lowering(const Trace& trace);
  virtual ~Lowering() = default;
  Lowering(const Lowering&) = delete;
  Lowering& operator=(const Lowering&) = delete;

  Trace run();

 protected:
  /// What a replica gives to a sum (mean, …), in the placed graph.
  struct Term {
    ops::Role role = ops::Role::kValue;
    Gradient value;  ///< a value, or slices
    Value traced;    ///< the result in the trace; of slices their values
    /// Slices must come back as slices: rows without a gradient are to stay as they are, although a
    /// gradient of 0 would change them (ops::OtherRows).
    bool stays_slices = false;
  };
  /// Records the reduction over all replicas of terms that stand together in the trace, and returns
  /// its results, one for each. What was slices may come back dense, unless stays_slices; then it
  /// is updated as a dense gradient is. Absent: nothing stands for it, and place() deals with all
  /// that reads it.
  virtual std::vector<Gradient> reduce(ops::ReduceOp op, const std::vector<Term>& terms) = 0;
  /// A replica's share of x, which all of them have: of equal shares, unless overridden.
  virtual Value share(Value x);
  /// Puts into the placed graph what stands there for a node of the trace. False: a copy does.
  virtual bool place(const Node&) { return false; }
  /// After the last node.
  virtual void end() {}

  /// What is recorded while it lives stands where `node` stood: "dense/CrossReplica" becomes
  /// "dense/AllReduce", on the same device, and of the backward stage where that is.
  class InPlaceOf {
   public:
    explicit InPlaceOf(const Node& node);

   private:
    const NameScope name_;
    const DeviceScope device_;
    const StageScope stage_;
  };

  const Trace& trace() const { return trace_; }
  Rewriter& rewriter() { return rewriter_; }
  /// Returns its number.
  int64_t add_group(std::shared_ptr<ParameterGroup> group);

 private:
  void find_stays();
  void place_reduction(const Node& node);
  bool place_dense(const Node& node);
  bool is_whole(Value indices) const { return whole_.contains({indices.node(), indices.index()}); }
  void set_whole(Value indices, int64_t rows) { whole_[{indices.node(), indices.index()}] = rows; }
  int64_t rows_of(Value indices) const { return whole_.at({indices.node(), indices.index()}); }
  void name_rows(std::span<const Value> values);

  const Trace& trace_;
  Rewriter rewriter_;
  /// Indices of slices in the trace whose values have become a whole table, and its rows.
  std::map<std::pair<const Node*, int>, int64_t> whole_;
  std::set<std::pair<const Node*, int>> stays_;  ///< indices of slices that must stay slices
  std::vector<std::shared_ptr<ParameterGroup>> groups_;
};

/// The trace with another graph for the same arguments and outputs; all else that it says stays.
Trace with_function(Trace trace, GraphFunction function);

}  // namespace cohort::distribute
