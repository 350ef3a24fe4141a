#include "launch/verdict.h"

#include <fmt/format.h>

#include <tuple>

namespace cohort::launch {
namespace {

enum Rank { kCause, kSilent, kEffect };

struct Order {
  Rank rank;
  int64_t time_ns;
  bool operator<(const Order& other) const {
    return std::tie(rank, time_ns) < std::tie(other.rank, other.time_ns);
  }
};

std::optional<Order> order_of(const WorkerEnd& worker) {
  const auto& [name, ending, record, lines] = worker;
  if (record && record->own) return Order{kCause, record->time_ns};
  if (!worker.failed()) return std::nullopt;
  if (record) return Order{kEffect, ending->time_ns};
  return Order{ending->killed ? kCause : kSilent, ending->time_ns};
}

}  // namespace

std::optional<size_t> find_culprit(const std::vector<WorkerEnd>& workers) {
  bool any_failed = false;
  std::optional<size_t> first;
  for (size_t i = 0; i < workers.size(); ++i) {
    any_failed |= workers[i].failed();
    const std::optional<Order> order = order_of(workers[i]);
    if (order && (!first || *order < *order_of(workers[*first]))) first = i;
  }
  return any_failed ? first : std::nullopt;
}

std::string describe(const WorkerEnd& worker) {
  const auto& [name, ending, record, lines] = worker;
  std::string text = name + " failed: " + (ending ? ending->text : "it has not ended");
  if (record) text += fmt::format("; {}: {}", code_name(record->code), record->text);
  if (!lines.empty()) text += "; its last lines:\n" + lines;
  return text;
}

}  // namespace cohort::launch
