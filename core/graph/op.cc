#include "cohort/core/graph/op.h"

namespace cohort {
namespace {

/// An enumeration belongs to one kind of op.
void want_of_kind(const OpDef& op, OpKind kind, bool given, std::string_view trait,
                  std::string_view name) {
  if (given != (op.kind == kind))
    throw InvalidArgument("op registry: got op {} {} {}; want it of a {}, and of nothing else",
                          op.name, given ? "with" : "without", trait, name);
}

void check_traits(const OpDef& op) {
  want_of_kind(op, OpKind::kSource, op.source != Source::kNone, "a source", "kSource");
  const bool publishes = op.exchange == Exchange::kPublish;
  want_of_kind(op, OpKind::kCollective, op.exchange != Exchange::kNone && !publishes, "an exchange",
               "kCollective");
  if (publishes && op.kind != OpKind::kUpdate)
    throw InvalidArgument("op registry: got op {}, which publishes; want that of a kUpdate",
                          op.name);
  if (op.by_element && !op.group_inputs)
    throw InvalidArgument("op registry: got op {}, by element; want that of a group's update",
                          op.name);
  if (op.kind == OpKind::kSource && op.num_inputs != 0)
    throw InvalidArgument("op registry: got op {}, a source, of {} inputs; want none", op.name,
                          op.num_inputs);
  if (op.elementwise && op.kind != OpKind::kCompute)
    throw InvalidArgument("op registry: got op {}, elementwise; want that of a kCompute", op.name);
  if (op.group_inputs && op.kind != OpKind::kUpdate)
    throw InvalidArgument("op registry: got op {}, of a group; want that of a kUpdate", op.name);
  if ((op.neutral_left || op.neutral_right) && op.num_inputs != 2)
    throw InvalidArgument("op registry: got op {}, neutral operand of {} inputs; want 2", op.name,
                          op.num_inputs);
}

}  // namespace

Gradient::Gradient(Value value) : form_(Form::kDense), slices_{.values = value} {}
Gradient::Gradient(Slices slices) : form_(Form::kSlices), slices_(std::move(slices)) {}

const Slices& Gradient::slices() const {
  COHORT_CHECK(is_slices());
  return slices_;
}

Value Gradient::dense() const {
  COHORT_CHECK(!absent());
  if (!is_slices()) return slices_.values;
  return slices_.values.graph()
      .add("SlicesToDense", {slices_.indices, slices_.values}, {{"shape", slices_.dense_shape}})
      ->output();
}

void OpRegistry::add(OpDef op) {
  COHORT_CHECK(op.infer != nullptr);
  check_traits(op);
  const std::string name = op.name;
  if (!ops_.emplace(name, std::move(op)).second)
    throw AlreadyExists("op registry: got op {} twice; want one registration", name);
}

const OpDef& OpRegistry::get(std::string_view name) const {
  const auto it = ops_.find(name);
  if (it != ops_.end()) return it->second;
  std::string similar;
  for (const auto& [known, op] : ops_)
    if (!name.empty() && known.front() == name.front()) similar += " " + known;
  throw NotFound("op registry: got \"{}\"; want a registered op (with this first letter:{})", name,
                 similar);
}

bool OpRegistry::has(std::string_view name) const { return ops_.find(name) != ops_.end(); }

std::vector<std::string> OpRegistry::names() const {
  std::vector<std::string> names;
  for (const auto& [name, op] : ops_) names.push_back(name);
  return names;
}

}  // namespace cohort
