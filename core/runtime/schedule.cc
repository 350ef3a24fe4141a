#include "cohort/core/runtime/schedule.h"

#include <algorithm>
#include <map>
#include <set>

#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/aliases.h"
#include "cohort/core/runtime/collective_plan.h"
#include "cohort/core/runtime/step_vote.h"

namespace cohort {
namespace {

using Kind = ScheduleEntry::Kind;

class Scheduler {
 public:
  Scheduler(const Graph& graph, const DeviceOf& device_of) : graph_(graph), device_of_(device_of) {}

  std::vector<Schedule> run() {
    for (const auto& node : graph_.nodes())
      if (is_collective(*node)) expect_inputs(*node);
    for (const auto& node : graph_.nodes())
      if (node->stage() != Stage::kCommit) place(*node);
    // What commits need is fetched in the part that may fail.
    const std::vector<Node*> commits = graph_.commit_nodes();
    for (const Node* node : commits) {
      line(device_of_(*node));
      for (const Value& input : node->inputs()) need(input, device_of_(*node));
    }
    // Every reduction is waited for, needed or not: the ranks stay in step, and buckets are free
    // again.
    for (const auto& node : graph_.nodes())
      if (is_collective(*node)) await(*node);
    for (Schedule& schedule : schedules_) schedule.commit_begin = schedule.entries.size();
    for (const Node* node : commits)
      line(device_of_(*node))
          .entries.push_back({is_publication(*node) ? Kind::kStart : Kind::kCompute, node, {}});
    for (const Node* node : commits)
      if (is_publication(*node)) line(device_of_(*node)).entries.push_back({Kind::kWait, node, {}});
    if (schedules_.size() > 1) veto_before_commits();
    return std::move(schedules_);
  }

 private:
  Schedule& line(Device* device) {
    for (Schedule& schedule : schedules_)
      if (schedule.device == device) return schedule;
    schedules_.push_back({device, {}, 0});
    return schedules_.back();
  }

  void await(const Node& reduction) {
    if (waited_.insert(&reduction).second)
      line(device_of_(reduction)).entries.push_back({Kind::kWait, &reduction, {}});
  }

  /// Reductions are waited for as late as possible: when somebody needs them.
  void need(Value input, Device* user) {
    const Value root = root_of(input);
    const Node& maker = *root.node();
    if (is_collective(maker)) await(maker);
    Device* home = device_of_(maker);
    if (home == user || !received_.insert({root.node(), root.index(), user}).second) return;
    if (sent_.insert({root.node(), root.index()}).second)
      line(home).entries.push_back({Kind::kSend, nullptr, root});
    line(user).entries.push_back({Kind::kReceive, nullptr, root});
  }

  /// What other replicas could not do must be known to all devices before one of them commits.
  void veto_before_commits() {
    for (Schedule& schedule : schedules_) {
      const size_t first = schedule.commit_begin;
      if (first < schedule.entries.size() && is_veto(*schedule.entries[first].node))
        ++schedule.commit_begin;
    }
  }

  /// A replica votes when all its devices have done what it alone could fail at.
  void meet() {
    const auto num_lanes = static_cast<int>(schedules_.size());
    if (num_lanes == 1) return;
    for (Schedule& schedule : schedules_)
      schedule.entries.push_back({.kind = Kind::kMeet, .num_lanes = num_lanes});
  }

  void expect_inputs(const Node& reduction) {
    std::set<const Node*> makers;
    for (const Value& input : reduction.inputs()) makers.insert(root_of(input).node());
    for (const Node* maker : makers) feeds_[maker].push_back(&reduction);
    missing_[&reduction] = makers.size();
  }

  void place(const Node& node) {
    Device* device = device_of_(node);
    line(device);
    if (is_alias(node) || is_collective(node)) return;
    for (const Value& input : node.inputs()) need(input, device);
    if (is_vote(node)) meet();
    line(device).entries.push_back({Kind::kCompute, &node, {}});
    for (const Node* reduction : feeds_[&node])
      if (--missing_[reduction] == 0)
        line(device_of_(*reduction)).entries.push_back({Kind::kStart, reduction, {}});
  }

  const Graph& graph_;
  const DeviceOf& device_of_;
  std::vector<Schedule> schedules_;
  std::map<const Node*, std::vector<const Node*>> feeds_;  ///< reductions that a node feeds
  std::map<const Node*, size_t> missing_;  ///< makers that a reduction still waits for
  std::set<const Node*> waited_;
  std::set<std::pair<const Node*, int>> sent_;
  std::set<std::tuple<const Node*, int, Device*>> received_;
};

}  // namespace

std::vector<Schedule> make_schedules(const Graph& graph, const DeviceOf& device_of) {
  return Scheduler(graph, device_of).run();
}

}  // namespace cohort
