#include "cohort/distribute/placement/zero.h"

#include <algorithm>
#include <map>
#include <set>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/segments.h"
#include "cohort/core/runtime/communicator.h"
#include "cohort/core/runtime/update_layout.h"
#include "cohort/distribute/placement/sharded_gradients.h"

// What a trace does to the gradient of each variable of a group, one node for each, is done once to
// the group's range: `bundle`, a list of n values that are made alike, one for each segment,
// becomes one flat value. At its ends stand the sums over replicas, which are one ReduceScatter;
// reads of slots, which are one read of the group's slot; and numbers, the same for all or one for
// each segment. Sums of all elements (for norms) are those of lines, which one rank has each, added
// up in the order of a ReduceSum.
namespace cohort::distribute {
namespace {

using Bundle = std::vector<Value>;

/// A group and what it is to the trace.
struct PlacedPart {
  std::shared_ptr<ParameterGroup> group;
  int64_t number = 0;
  UpdatePart part;
  std::map<ValueKey, Value> flat;  ///< by the first of a bundle
};

class ZeroLowering final : public MirroredLowering {
 public:
  ZeroLowering(const Trace& trace, const StepRows& rows, const ZeroOptions& options,
               ParameterGroups& groups)
      : MirroredLowering(trace, rows),
        mesh_({{std::string(kDataAxis), static_cast<int64_t>(options.first_replicas.size())}}),
        options_(options) {
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

  static size_t updated(const Node& node) { return static_cast<size_t>(num_updated(node)); }
  static const std::shared_ptr<VariableState>& variable_of(const Node& node, size_t i) {
    const auto id = node.attrs().get<std::vector<int64_t>>("variables")[i];
    return node.graph().variables()[static_cast<size_t>(id)];
  }

  bool is_slot_read(const Node& node) const {
    return node.op().source == Source::kVariable && slots_.contains(variable_of(node, 0).get());
  }
  /// Whether each device has a part of it alone.
  bool is_sharded(Value value) {
    const Value sum = gradients_.sum_of(value);
    return is_slot_read(*value.node()) || (sum.defined() && owner_.contains(key_of(sum)));
  }
  PlacedPart& part_of(Value sum) {
    const auto& [update, number] = owner_.at(key_of(sum));
    return updates_.at(update)[number];
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

  [[noreturn]] void refuse_reader(const std::string& reader, Value value) {
    std::string name = value.node()->name();
    if (is_slot_read(*value.node())) name = variable_of(*value.node(), 0)->name();
    if (const Value sum = gradients_.sum_of(value); sum.defined()) {
      const PlacedPart& part = part_of(sum);
      for (size_t k = 0; k < part.part.sums.size(); ++k)
        if (part.part.sums[k] == sum)
          name = "the gradient of " + part.group->segments()[k].variable->name();
    }
    throw InvalidArgument(
        "{}: got a read of {}, of which each of {} devices on axis {} has a part (sharding); want "
        "updates and what is done element by element before them, or sharding kNone",
        reader, name, mesh_.num_ranks(), kDataAxis);
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

  static ops::SegmentTable table_of(const ParameterGroup& group) {
    ops::SegmentTable table;
    for (const ParameterGroup::Segment& segment : group.segments()) {
      table.offsets.push_back(segment.offset);
      table.elements.push_back(segment.elements);
    }
    return table;
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

  /// The one value of the group that stands for these of its segments. `user` reads them.
  Value flat(PlacedPart& part, Bundle bundle, const Node& user) {
    for (Value& value : bundle)  // a replica's term is dense already
      if (value.node()->op_name() == "SlicesToDense") value = value.node()->input(1);
    const auto known = part.flat.find(key_of(bundle.front()));
    if (known != part.flat.end()) return known->second;
    return part.flat[key_of(bundle.front())] = make_flat(part, bundle, user);
  }

  Value make_flat(PlacedPart& part, const Bundle& bundle, const Node& user) {
    const Node& first = *bundle.front().node();
    if (bundle == part.part.sums) return reduce_scatter(part);
    if (!is_sharded(bundle.front())) return numbers(part, bundle, user);
    const InPlaceOf in_place(first);
    if (is_slot_read(first)) return read_slot(part, bundle, user);
    for (size_t k = 1; k < bundle.size(); ++k)
      if (!do_the_same(first, *bundle[k].node())) refuse_difference(part, k, user, bundle);
    std::vector<Value> inputs;
    for (size_t i = 0; i < first.inputs().size(); ++i)
      inputs.push_back(flat(part, inputs_of(bundle, i), first));
    return rewriter().graph().add(first.op_name(), std::move(inputs), first.attrs())->output();
  }

  static Bundle inputs_of(const Bundle& bundle, size_t i) {
    Bundle inputs;
    for (const Value& value : bundle) inputs.push_back(value.node()->inputs()[i]);
    return inputs;
  }

  Value reduce_scatter(const PlacedPart& part) {
    const InPlaceOf in_place(*part.part.sums.front().node());
    Bundle local;
    for (const Value& sum : part.part.sums) local.push_back(local_.at(key_of(sum)));
    return ops::reduce_scatter(local, part.number, part.group->local_elements(),
                               options_.sharding == Sharding::kZero2);
  }

  Value read_slot(PlacedPart& part, const Bundle& bundle, const Node& user) {
    ParameterGroup::Variables of_each;
    for (size_t k = 0; k < bundle.size(); ++k) {
      if (!is_slot_read(*bundle[k].node())) refuse_difference(part, k, user, bundle);
      of_each.push_back(variable_of(*bundle[k].node(), 0));
    }
    const auto slot = part.group->slot(of_each);
    return rewriter()
        .graph()
        .add("ReadVariable", {},
             {{"dtype", slot->dtype()},
              {"shape", slot->local_shape()},
              {"variables", std::vector<int64_t>{rewriter().graph().variable_id(slot)}}})
        ->output();
  }

  /// What is one number for every element of a segment, or of all.
  Value numbers(const PlacedPart& part, const Bundle& bundle, const Node& user) {
    const Node& first = *bundle.front().node();
    const auto number = [](const Node& node) {
      return node.op().uniform_value ? node.op().uniform_value(node) : std::nullopt;
    };
    const std::optional<double> all = number(first);
    bool same_for_all = true;
    for (size_t k = 0; k < bundle.size(); ++k) {
      const bool same = bundle[k] == bundle.front() || (all && all == number(*bundle[k].node()));
      if (!all && bundle[k].rank() != 0) refuse_difference(part, k, user, bundle);
      same_for_all = same_for_all && same;
    }
    if (!same_for_all) return spread(part, bundle, user);
    if (!all || bundle.front().rank() == 0) return rewriter()[bundle.front()];
    return ops::scalar(*all, bundle.front().dtype());
  }

  Value spread(const PlacedPart& part, const Bundle& bundle, const Node& user) {
    std::vector<Value> scalars;
    for (size_t k = 0; k < bundle.size(); ++k) {
      if (bundle[k].rank() != 0) refuse_difference(part, k, user, bundle);
      scalars.push_back(rewriter()[bundle[k]]);
    }
    const InPlaceOf in_place(user);
    return ops::spread_segments(scalars, table_of(*part.group), part.number,
                                part.group->local_elements());
  }

  [[noreturn]] void refuse_difference(const PlacedPart& part, size_t k, const Node& user,
                                      const Bundle& bundle) const {
    throw Unimplemented(
        "{}: got {} for the gradient of {}, and {} for that of {}; want the same done to both, "
        "element by element, where each device has a part of them (sharding)",
        user.name(), bundle[k].node()->name(), part.group->segments()[k].variable->name(),
        bundle.front().node()->name(), part.group->segments().front().variable->name());
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

  const Mesh mesh_;
  const ZeroOptions options_;
  ShardedGradients gradients_;
  std::map<int, std::vector<PlacedPart>> updates_;    ///< by the update's id
  std::map<ValueKey, std::pair<int, size_t>> owner_;  ///< of each sum: which of whose parts
  std::map<ValueKey, Value> local_;                   ///< what this replica gives to a sum
  std::set<const VariableState*> slots_;
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
