#include "cohort/distribute/placement/lowering.h"

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/slices.h"
#include "cohort/core/ops/state.h"

namespace cohort::distribute {
namespace {

Value output_of(const Node& node, int i) { return Value(const_cast<Node*>(&node), i); }

std::string scope_of(const std::string& name) {
  const size_t slash = name.rfind('/');
  return slash == std::string::npos ? "" : name.substr(0, slash);
}

}  // namespace

Lowering::InPlaceOf::InPlaceOf(const Node& node)
    : name_(scope_of(node.name())),
      device_(node.device().to_string()),
      stage_(node.stage() == Stage::kBackward ? Stage::kBackward : Stage::kForward) {}

Lowering::Lowering(const Trace& trace) : trace_(trace), rewriter_(*trace.graph, trace.outputs) {
  find_stays();
}

void Lowering::find_stays() {
  for (const Node* node : rewriter_.nodes()) {
    if (node->op_name() != "RowsUpdate" || !node->attrs().get<bool>("stay")) continue;
    Value indices = node->input(0);
    while (indices.node()->op_name() == "CombineSlices" || indices.node()->op_name() == "Cast")
      indices = indices.node()->input(0);
    stays_.insert({indices.node(), indices.index()});
  }
}

int64_t Lowering::add_group(std::shared_ptr<ParameterGroup> group) {
  groups_.push_back(std::move(group));
  return static_cast<int64_t>(groups_.size()) - 1;
}

Value Lowering::share(Value x) {
  return x / ops::cast(ops::step_info(ops::StepField::kNumReplicas), x.dtype());
}

void Lowering::place_reduction(const Node& node) {
  const InPlaceOf in_place(node);
  const auto terms = ops::cross_replica_terms(node);
  std::vector<Term> local;
  for (const ops::CrossReplicaTerm& term : terms) {
    const Value first = rewriter_[node.input(term.input)];
    if (term.is_slices())
      local.push_back({term.role, Slices{first, rewriter_[node.input(term.input + 1)], term.table},
                       output_of(node, term.input + 1), stays_.contains({&node, term.input})});
    else
      local.push_back({term.role, first, output_of(node, term.input)});
  }
  const auto op = static_cast<ops::ReduceOp>(node.attrs().get<int64_t>("reduce_op"));
  const std::vector<Gradient> reduced = reduce(op, local);
  COHORT_CHECK(reduced.size() == terms.size());
  for (size_t i = 0; i < terms.size(); ++i) {
    if (reduced[i].absent()) continue;
    const Value first = output_of(node, terms[i].input);
    if (!terms[i].is_slices()) {
      rewriter_.replace(first, reduced[i].dense());
    } else if (reduced[i].is_slices()) {
      rewriter_.replace(first, reduced[i].slices().indices);
      rewriter_.replace(output_of(node, terms[i].input + 1), reduced[i].slices().values);
    } else if (local[i].stays_slices) {
      throw Unimplemented(
          "{}: got a dense sum of the slices {}; want slices, since rows without a gradient are to "
          "stay as they are (lazy_rows)",
          node.name(), first.node()->name());
    } else {
      set_whole(first, terms[i].table[0].number());
      rewriter_.replace(output_of(node, terms[i].input + 1), reduced[i].dense());
    }
  }
}

/// Gives those of the trace's `values` that are indices of a whole table its rows' numbers, for
/// whoever must have them.
void Lowering::name_rows(std::span<const Value> values) {
  for (const Value& indices : values) {
    if (!is_whole(indices)) continue;
    Tensor numbers(DType::kI32, Shape{rows_of(indices)});
    for (int64_t row = 0; row < numbers.num_elements(); ++row)
      numbers.data<int32_t>()[row] = static_cast<int32_t>(row);
    rewriter_.replace(indices, ops::cast(ops::constant(numbers), indices.dtype()));
    whole_.erase({indices.node(), indices.index()});
  }
}

/// What is done with slices, done with a whole table. False for a node that must be copied.
bool Lowering::place_dense(const Node& node) {
  const std::string& op = node.op_name();
  if (op == "CombineSlices" && !is_whole(node.input(0)) &&
      ops::is_combined({rewriter_[node.input(0)], rewriter_[node.input(1)], {}})) {
    for (int i = 0; i < 2; ++i) rewriter_.replace(output_of(node, i), rewriter_[node.input(i)]);
    return true;
  }
  if (node.inputs().empty() || !is_whole(node.input(0))) {
    name_rows(node.inputs());
    return false;
  }
  if (op == "Cast") {
    set_whole(output_of(node, 0), rows_of(node.input(0)));
  } else if (op == "CombineSlices") {
    set_whole(output_of(node, 0), rows_of(node.input(0)));
    rewriter_.replace(output_of(node, 1), rewriter_[node.input(1)]);
  } else if (op == "SlicesToDense") {
    rewriter_.replace(output_of(node, 0), rewriter_[node.input(1)]);
  } else if (op == "RowsUpdate") {
    rewriter_.graph().add_like(
        node, "ElementwiseUpdate",
        {rewriter_[node.input(1)], rewriter_[node.input(2)], rewriter_[node.input(3)]},
        node.attrs());
  } else {
    name_rows(node.inputs());
    return false;
  }
  return true;
}

Trace Lowering::run() {
  const GraphScope graph_scope(rewriter_.graph());
  for (const Node* node : rewriter_.nodes()) {
    if (node->op_name() == "CrossReplica") {
      place_reduction(*node);
    } else if (node->op_name() == "ReplicaShare") {
      const InPlaceOf in_place(*node);
      rewriter_.replace(output_of(*node, 0), share(rewriter_[node->input(0)]));
    } else if (!place(*node) && !place_dense(*node)) {
      rewriter_.copy(*node);
    }
  }
  end();
  name_rows(trace_.outputs);
  Trace placed = with_function(trace_, rewriter_.finish());
  placed.groups = std::move(groups_);
  return placed;
}

Trace with_function(Trace trace, GraphFunction function) {
  trace.graph = std::move(function.graph);
  trace.outputs = std::move(function.fetches);
  return trace;
}

}  // namespace cohort::distribute
