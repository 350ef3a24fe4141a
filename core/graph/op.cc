#include "cohort/core/graph/op.h"

#include "cohort/core/ops/indexing.h"

namespace cohort {

Gradient::Gradient(Value value) : form_(Form::kDense), slices_{.values = value} {}
Gradient::Gradient(Slices slices) : form_(Form::kSlices), slices_(std::move(slices)) {}

const Slices& Gradient::slices() const {
  COHORT_CHECK(is_slices());
  return slices_;
}

Value Gradient::dense() const {
  COHORT_CHECK(!absent());
  return is_slices() ? ops::slices_to_dense(slices_) : slices_.values;
}

void OpRegistry::add(OpDef op) {
  COHORT_CHECK(op.infer != nullptr);
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
