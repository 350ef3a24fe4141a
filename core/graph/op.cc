#include "cohort/core/graph/op.h"

#include "cohort/core/ops/indexing.h"

namespace cohort {

Value Gradient::dense() const {
  COHORT_CHECK(!absent());
  if (const Value* value = std::get_if<Value>(&form_)) return *value;
  return ops::slices_to_dense(slices());
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

std::vector<std::string> OpRegistry::names() const {
  std::vector<std::string> names;
  for (const auto& [name, op] : ops_) names.push_back(name);
  return names;
}

}  // namespace cohort
