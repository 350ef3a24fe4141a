#include "cohort/nn/logs.h"

#include <algorithm>

#include "cohort/core/error.h"

namespace cohort::nn {

Logs::Logs() = default;
Logs::Logs(std::vector<Entry> entries) : entries_(std::move(entries)) {}
Logs::Logs(Reader read) : read_(std::move(read)), stale_(true) {}
Logs::Logs(const Logs& other) : entries_(other.entries()) {}
Logs& Logs::operator=(const Logs& other) {
  entries_ = other.entries();
  read_ = nullptr;
  stale_ = false;
  return *this;
}
Logs::~Logs() = default;

const std::vector<Logs::Entry>& Logs::entries() const {
  if (stale_) {
    read_(entries_);
    stale_ = false;
  }
  return entries_;
}

const double* Logs::find(std::string_view name) const {
  for (const Entry& entry : entries())
    if (entry.first == name) return &entry.second;
  return nullptr;
}

double Logs::operator[](std::string_view name) const {
  if (const double* value = find(name)) return *value;
  std::string names;
  for (const Entry& entry : entries()) names += " " + entry.first;
  throw NotFound("logs: got \"{}\"; want one of{}", name, names);
}

void Logs::set(std::string name, double value) {
  entries();
  const auto it =
      std::lower_bound(entries_.begin(), entries_.end(), name,
                       [](const Entry& e, const std::string& n) { return e.first < n; });
  if (it != entries_.end() && it->first == name)
    it->second = value;
  else
    entries_.emplace(it, std::move(name), value);
}

}  // namespace cohort::nn
