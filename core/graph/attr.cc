#include "cohort/core/graph/attr.h"

#include <algorithm>

namespace cohort {
namespace {

auto lower_bound(auto& entries, std::string_view name) {
  return std::lower_bound(
      entries.begin(), entries.end(), name,
      [](const auto& entry, std::string_view key) { return entry.first < key; });
}

}  // namespace

Attrs::Attrs() = default;
Attrs::Attrs(const Attrs&) = default;
Attrs::Attrs(Attrs&&) noexcept = default;
Attrs& Attrs::operator=(const Attrs&) = default;
Attrs& Attrs::operator=(Attrs&&) noexcept = default;
Attrs::~Attrs() = default;

Attrs::Attrs(std::initializer_list<Entry> entries) {
  for (const Entry& entry : entries) set(entry.first, entry.second);
}

void Attrs::set(std::string name, Attr value) {
  auto it = lower_bound(entries_, name);
  if (it != entries_.end() && it->first == name) {
    it->second = std::move(value);
  } else {
    entries_.emplace(it, std::move(name), std::move(value));
  }
}

const Attr* Attrs::find(std::string_view name) const {
  const auto it = lower_bound(entries_, name);
  return it != entries_.end() && it->first == name ? &it->second : nullptr;
}

void Attrs::refuse(std::string_view name) const {
  throw Internal("attribute {}: got {}; want one of the type asked for", name,
                 has(name) ? "another type" : "none");
}

Attr* Attrs::find(std::string_view name) {
  return const_cast<Attr*>(std::as_const(*this).find(name));
}

}  // namespace cohort
