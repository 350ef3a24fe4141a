#include "cohort/distribute/placement/flat_values.h"

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/runtime/communicator.h"
#include "cohort/core/runtime/update_layout.h"

namespace cohort::distribute {
namespace {

Bundle inputs_of(const Bundle& bundle, size_t i) {
  Bundle inputs;
  for (const Value& value : bundle) inputs.push_back(value.node()->inputs()[i]);
  return inputs;
}

}  // namespace

FlatLowering::FlatLowering(const Trace& trace, const StepRows& rows, const ZeroOptions& options)
    : MirroredLowering(trace, rows),
      mesh_({{std::string(kDataAxis), static_cast<int64_t>(options.first_replicas.size())}}),
      options_(options) {}

size_t FlatLowering::updated(const Node& node) { return static_cast<size_t>(num_updated(node)); }

const std::shared_ptr<VariableState>& FlatLowering::variable_of(const Node& node, size_t i) {
  const auto id = node.attrs().get<std::vector<int64_t>>("variables")[i];
  return node.graph().variables()[static_cast<size_t>(id)];
}

bool FlatLowering::is_slot_read(const Node& node) const {
  return node.op().source == Source::kVariable && slots_.contains(variable_of(node, 0).get());
}

bool FlatLowering::is_sharded(Value value) {
  const Value sum = gradients_.sum_of(value);
  return is_slot_read(*value.node()) || (sum.defined() && owner_.contains(key_of(sum)));
}

PlacedPart& FlatLowering::part_of(Value sum) {
  const auto& [update, number] = owner_.at(key_of(sum));
  return updates_.at(update)[number];
}

void FlatLowering::refuse_reader(const std::string& reader, Value value) {
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

ops::SegmentTable FlatLowering::table_of(const ParameterGroup& group) {
  ops::SegmentTable table;
  for (const ParameterGroup::Segment& segment : group.segments()) {
    table.offsets.push_back(segment.offset);
    table.elements.push_back(segment.elements);
  }
  return table;
}

Value FlatLowering::flat(PlacedPart& part, Bundle bundle, const Node& user) {
  for (Value& value : bundle)  // a replica's term is dense already
    if (value.node()->op_name() == "SlicesToDense") value = value.node()->input(1);
  const auto known = part.flat.find(key_of(bundle.front()));
  if (known != part.flat.end()) return known->second;
  return part.flat[key_of(bundle.front())] = make_flat(part, bundle, user);
}

Value FlatLowering::make_flat(PlacedPart& part, const Bundle& bundle, const Node& user) {
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

Value FlatLowering::reduce_scatter(const PlacedPart& part) {
  const InPlaceOf in_place(*part.part.sums.front().node());
  Bundle local;
  for (const Value& sum : part.part.sums) local.push_back(local_.at(key_of(sum)));
  return ops::reduce_scatter(local, part.number, part.group->local_elements(),
                             options_.sharding == Sharding::kZero2);
}

Value FlatLowering::read_slot(PlacedPart& part, const Bundle& bundle, const Node& user) {
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
Value FlatLowering::numbers(const PlacedPart& part, const Bundle& bundle, const Node& user) {
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

Value FlatLowering::spread(const PlacedPart& part, const Bundle& bundle, const Node& user) {
  std::vector<Value> scalars;
  for (size_t k = 0; k < bundle.size(); ++k) {
    if (bundle[k].rank() != 0) refuse_difference(part, k, user, bundle);
    scalars.push_back(rewriter()[bundle[k]]);
  }
  const InPlaceOf in_place(user);
  return ops::spread_segments(scalars, table_of(*part.group), part.number,
                              part.group->local_elements());
}

void FlatLowering::refuse_difference(const PlacedPart& part, size_t k, const Node& user,
                                     const Bundle& bundle) {
  throw Unimplemented(
      "{}: got {} for the gradient of {}, and {} for that of {}; want the same done to both, "
      "element by element, where each device has a part of them (sharding)",
      user.name(), bundle[k].node()->name(), part.group->segments()[k].variable->name(),
      bundle.front().node()->name(), part.group->segments().front().variable->name());
}

}  // namespace cohort::distribute
