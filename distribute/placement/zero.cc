#include "cohort/distribute/placement/zero.h"

#include <algorithm>
#include <map>
#include <set>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/segments.h"
#include "cohort/core/runtime/communicator.h"
#include "cohort/core/runtime/update_layout.h"
#include "cohort/distribute/placement/flat_values.h"

// Sums of all elements (for norms) are those of lines, which one rank has each, added up in the
// order of a ReduceSum.
namespace cohort::distribute {
namespace {

class ZeroLowering final : public FlatLowering {
 public:
  ZeroLowering(const Trace& trace, const StepRows& rows, const ZeroOptions& options,
               ParameterGroups& groups)
      : FlatLowering(trace, rows, options) {
    for (const Node* node : rewriter().nodes())
      if (is_update(*node)) add_update(*node, groups);
    for (const Node* node : rewriter().nodes())
      if (node->op().kind == OpKind::kUpdate && !is_update(*node))
        find_kept(*node);
      else if (is_whole_sum(*node))
        totals_[key_of(gradients_.sum_of(node->input(0)))].push_back(node);
  }

 private:
  void add_update(const Node& node, ParameterGroups& groups) {
    for (UpdatePart& part : gradients_.cut(node, options_.bucket_bytes)) {
      ParameterGroup::Variables variables;
      for (const size_t i : part.members) variables.push_back(variable_of(node, i));
      PlacedPart& placed = updates_[node.id()].emplace_back();
      placed.group = groups.find_or_add(
          std::make_shared<ParameterGroup>(variables, mesh_, std::string(kDataAxis)));
      placed.number = add_group(placed.group);
      for (size_t k = 0; k < part.sums.size(); ++k) {
        const std::pair place(node.id(), updates_[node.id()].size() - 1);
        if (!owner_.emplace(key_of(part.sums[k]), place).second)
          throw Unimplemented(
              "{}: got a gradient of {} that another update has, too; want one update of each "
              "gradient where each device has a part of it (sharding)",
              node.name(), variables[k]->name());
      }
      placed.part = std::move(part);
      const size_t all = updated(node);
      const auto& ids = node.attrs().get<std::vector<int64_t>>("variables");
      for (size_t i = all; i < ids.size(); ++i) slots_.insert(variable_of(node, i).get());
    }
  }

  /// What keeps something made of sharded gradients, such as their sums over batches.
  void find_kept(const Node& node) {
    if (node.inputs().size() != 1 || !is_sharded(node.input(0))) return;
    slots_.insert(variable_of(node, 0).get());
    kept_.push_back(&node);
  }

  /// Whether it adds up all elements of something of which each device has a part.
  bool is_whole_sum(const Node& node) {
    return node.op_name() == "ReduceSum" && node.output_types()[0].shape.rank() == 0 &&
           gradients_.sum_of(node.input(0)).defined() && is_sharded(node.input(0));
  }

  std::vector<Gradient> reduce(ops::ReduceOp op, const std::vector<Term>& terms) override {
    std::vector<Gradient> reduced(terms.size());
    std::vector<Term> others;
    std::vector<size_t> places;
    for (size_t i = 0; i < terms.size(); ++i) {
      if (owner_.contains(key_of(terms[i].traced))) {
        local_[key_of(terms[i].traced)] = terms[i].value.dense();
        continue;
      }
      others.push_back(terms[i]);
      places.push_back(i);
    }
    if (others.empty()) return reduced;
    const std::vector<Gradient> rest = MirroredLowering::reduce(op, others);
    for (size_t k = 0; k < places.size(); ++k) reduced[places[k]] = rest[k];
    return reduced;
  }

  bool place(const Node& node) override {
    if (const auto update = updates_.find(node.id()); update != updates_.end()) {
      for (PlacedPart& part : update->second) place_update(node, part);
      return true;
    }
    if (is_slot_read(node) || std::find(kept_.begin(), kept_.end(), &node) != kept_.end())
      return true;
    if (is_whole_sum(node)) {
      if (!placed_totals_.contains(&node)) place_totals(node);
      return true;
    }
    bool reads_part = false;
    for (const Value& input : node.inputs()) reads_part = reads_part || is_sharded(input);
    if (!reads_part) return false;
    if (node.num_outputs() == 1 && is_sharded(Value(const_cast<Node*>(&node), 0))) return true;
    for (const Value& input : node.inputs())
      if (is_sharded(input)) refuse_reader(node.name(), input);
    return false;
  }

  void place_update(const Node& node, PlacedPart& part) {
    Bundle gradients;
    for (const size_t i : part.part.members) gradients.push_back(node.inputs()[i]);
    std::vector<Value> inputs{flat(part, gradients, node)};
    for (size_t i = updated(node); i < node.inputs().size(); ++i)
      inputs.push_back(rewriter()[node.inputs()[i]]);
    std::vector<int64_t> ids;
    const size_t all = node.attrs().get<std::vector<int64_t>>("variables").size();
    for (size_t first = updated(node); first < all; first += updated(node)) {
      ParameterGroup::Variables of_each;
      for (const size_t i : part.part.members) of_each.push_back(variable_of(node, first + i));
      ids.push_back(rewriter().graph().variable_id(part.group->slot(of_each)));
    }
    Attrs attrs = node.attrs();
    attrs.set("variables", ids);
    attrs.set("group", part.number);
    if (attrs.has("weight_decay") && !attrs.get<std::vector<double>>("weight_decay").empty())
      attrs.set("weight_decay", std::vector<double>{part.part.weight_decay});
    rewriter().graph().add_like(node, node.op_name(), std::move(inputs), std::move(attrs));
  }

  /// The sums that stand at `node`'s place for each gradient of a group, of all groups of one
  /// update together. (What others are made of may not stand yet.)
  void place_totals(const Node& node) {
    const ValueKey sum_of_node = key_of(gradients_.sum_of(node.input(0)));
    const auto& same = totals_.at(sum_of_node);
    const auto number =
        static_cast<size_t>(std::find(same.begin(), same.end(), &node) - same.begin());
    const InPlaceOf in_place(node);
    std::vector<std::pair<PlacedPart*, std::vector<const Node*>>> placed;
    std::vector<Value> sums;
    for (PlacedPart& part : updates_.at(owner_.at(sum_of_node).first)) {
      std::vector<const Node*> nodes;
      Bundle summed;
      for (const Value& sum : part.part.sums)
        if (const auto& of_sum = totals_[key_of(sum)]; number < of_sum.size()) {
          nodes.push_back(of_sum[number]);
          summed.push_back(of_sum[number]->input(0));
        }
      if (nodes.size() < part.part.sums.size()) continue;
      sums.push_back(
          ops::segment_sums(flat(part, summed, node), table_of(*part.group), part.number));
      placed.emplace_back(&part, std::move(nodes));
    }
    sums = once_on_each_device(std::move(sums), options_.first_replicas);
    if (!sums.empty()) sums = ops::all_reduce(sums, ops::ReduceOp::kSum);
    for (size_t i = 0; i < placed.size(); ++i) {
      const auto& [part, nodes] = placed[i];
      const std::vector<Value> totals = ops::segment_totals(sums[i], table_of(*part->group),
                                                            nodes.front()->output_types()[0].dtype);
      for (size_t k = 0; k < nodes.size(); ++k) {
        rewriter().replace(Value(const_cast<Node*>(nodes[k]), 0), totals[k]);
        placed_totals_.insert(nodes[k]);
      }
    }
    if (!placed_totals_.contains(&node)) refuse_reader(node.name(), node.input(0));
  }

  void end() override {
    for (const Value& output : trace().outputs)
      if (is_sharded(output)) refuse_reader("outputs", output);
    for (auto& [id, parts] : updates_)
      for (PlacedPart& part : parts) keep(part);
    for (const auto& [id, parts] : updates_)
      for (const PlacedPart& part : parts)
        publish(*trace().graph->nodes()[static_cast<size_t>(id)], part);
  }

  /// Places what keeps something made of a group's gradients.
  void keep(PlacedPart& part) {
    std::map<ValueKey, std::vector<const Node*>> keepers;  // by the sum
    for (const Node* node : kept_)
      if (const Value sum = gradients_.sum_of(node->input(0)); sum.defined())
        keepers[key_of(sum)].push_back(node);
    const auto& first = keepers[key_of(part.part.sums.front())];
    for (size_t number = 0; number < first.size(); ++number) {
      Bundle values;
      ParameterGroup::Variables of_each;
      for (size_t k = 0; k < part.part.sums.size(); ++k) {
        const auto& of_sum = keepers[key_of(part.part.sums[k])];
        if (of_sum.size() != first.size())
          refuse_reader(first[number]->name(), first[number]->input(0));
        if (first[number]->op_name() != of_sum[number]->op_name())
          refuse_difference(part, k, *first[number], {first[number]->input(0)});
        values.push_back(of_sum[number]->input(0));
        of_each.push_back(variable_of(*of_sum[number], 0));
      }
      Attrs attrs = first[number]->attrs();
      const Value value = flat(part, values, *first[number]);
      attrs.set("variables",
                std::vector<int64_t>{rewriter().graph().variable_id(part.group->slot(of_each))});
      rewriter().graph().add_like(*first[number], first[number]->op_name(), {value},
                                  std::move(attrs));
    }
  }

  void publish(const Node& node, const PlacedPart& part) {
    const InPlaceOf in_place(node);
    ParameterGroup::Variables variables;
    for (const auto& segment : part.group->segments()) variables.push_back(segment.variable);
    ops::publish_parameters(rewriter().graph(), variables, part.number);
  }

  std::vector<const Node*> kept_;                        ///< in order
  std::map<ValueKey, std::vector<const Node*>> totals_;  ///< by the sum whose elements they add up
  std::set<const Node*> placed_totals_;
};

}  // namespace

std::shared_ptr<ParameterGroup> ParameterGroups::find_or_add(std::shared_ptr<ParameterGroup> made) {
  std::erase_if(known_, [](const auto& group) { return group.expired(); });
  for (const auto& weak : known_)
    if (auto group = weak.lock(); group && group->lies_like(*made)) return group;
  known_.push_back(made);
  return made;
}

Trace place_zero(const Trace& trace, const StepRows& rows, const ZeroOptions& options,
                 ParameterGroups& groups) {
  return ZeroLowering(trace, rows, options, groups).run();
}

Trace place_step(const Trace& trace, const StepRows& rows, const ZeroOptions& options,
                 ParameterGroups& groups) {
  if (options.sharding == Sharding::kNone || options.first_replicas.size() == 1)
    return place_mirrored(trace, rows);
  return place_zero(trace, rows, options, groups);
}

}  // namespace cohort::distribute
