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
  Scheduler(const Graph& graph, const DeviceOf& device_of, const std::vector<bool>& every_turn,
            bool exchanges_each)
      : graph_(graph),
        device_of_(device_of),
        every_turn_(every_turn),
        exchanges_each_(exchanges_each) {}

  std::vector<Schedule> run() {
    for (const auto& node : graph_.nodes())
      if (is_collective(*node)) expect_inputs(*node);
    for (const auto& node : graph_.nodes())
      if (node->stage() != Stage::kCommit) place(*node);
    // What commits need is fetched in the part that may fail.
    const std::vector<Node*> commits = graph_.commit_nodes();
    for (const Node* node : commits) {
      line(device_of_(*node));
      for (const Value& input : node->inputs()) need(input, device_of_(*node), false);
    }
    // Every reduction is waited for, needed or not: the ranks stay in step, and buckets are free
    // again.
    for (const auto& node : graph_.nodes())
      if (is_collective(*node)) await(*node);
    for (Schedule& schedule : schedules_) schedule.commit_begin = schedule.entries.size();
    for (const Node* node : commits)
      line(device_of_(*node))
          .entries.push_back(
              {is_publication(*node) ? Kind::kStart : Kind::kCompute, node, {}, 0, false});
    for (const Node* node : commits)
      if (is_publication(*node))
        line(device_of_(*node)).entries.push_back({Kind::kWait, node, {}, 0, false});
    if (schedules_.size() > 1) {
      check_uncut();
      veto_before_commits();
    }
    return std::move(schedules_);
  }

 private:
  Schedule& line(Device* device) {
    for (Schedule& schedule : schedules_)
      if (schedule.device == device) return schedule;
    schedules_.push_back({device, {}, 0, {}});
    return schedules_.back();
  }

  void await(const Node& reduction) {
    if (waited_.insert(&reduction).second)
      line(device_of_(reduction))
          .entries.push_back({Kind::kWait, &reduction, {}, 0, exchanges_each_});
  }

  bool in_every_turn(const Node& node) const {
    return every_turn_.empty() || every_turn_[static_cast<size_t>(node.id())];
  }

  /// Reductions are waited for as late as possible: when somebody needs them.
  void need(Value input, Device* user, bool every_turn) {
    const Value root = root_of(input);
    const Node& maker = *root.node();
    if (is_collective(maker)) await(maker);
    Device* home = device_of_(maker);
    if (home == user) return;
    transfer(home, {Kind::kSend, nullptr, root, 0, every_turn});
    transfer(user, {Kind::kReceive, nullptr, root, 0, every_turn});
  }

  /// Once for each value and device; in every turn when one of its users is.
  void transfer(Device* device, const ScheduleEntry& entry) {
    std::vector<ScheduleEntry>& entries = line(device).entries;
    const auto key = std::tuple(entry.value.node(), entry.value.index(), device, entry.kind);
    const auto [known, is_new] = transfers_.emplace(key, entries.size());
    if (is_new) entries.push_back(entry);
    bool& every_turn = entries[known->second].every_turn;
    every_turn = every_turn || entry.every_turn;
  }

  /// What every turn makes of a reduction waits until all turns have given to it.
  void cut_before(const Node& user) {
    if (every_turn_.empty() || !in_every_turn(user)) return;
    bool cuts = false;
    for (const Value& input : user.inputs()) {
      const Node& maker = *root_of(input).node();
      if (!is_collective(maker) || settled_.count(&maker)) continue;
      await(maker);
      cuts = true;
    }
    if (!cuts) return;
    // The next turn of this segment fills their buckets anew.
    for (const Node* reduction : started_)
      if (exchanges_each_) await(*reduction);
    settled_ = waited_;
    for (Schedule& schedule : schedules_) schedule.cuts.push_back(schedule.entries.size());
    if (!first_cut_) first_cut_ = &user;
  }

  void check_uncut() const {
    if (first_cut_)
      throw Unimplemented(
          "{}: got a value that needs the result of a collective, and of which each replica has "
          "its own, in a step on {} devices with several replicas; want one replica, or one device",
          first_cut_->name(), schedules_.size());
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

  /// Before a gradient is made where another group's are, those have been scattered.
  void take_over(const Node& reduction) {
    const auto before = by_group_.find(reduction.attrs().get_or<int64_t>("behind", -1));
    if (before == by_group_.end()) return;
    if (missing_.at(before->second) > 0)
      throw Internal("{}: got a part of it before all of {}, whose memory it takes over",
                     reduction.name(), before->second->name());
    await(*before->second);
  }

  void expect_inputs(const Node& reduction) {
    if (reduction.attrs().has("behind"))
      by_group_[reduction.attrs().get<int64_t>("group")] = &reduction;
    std::set<const Node*> makers;
    for (const Value& input : reduction.inputs()) makers.insert(root_of(input).node());
    for (const Node* maker : makers) feeds_[maker].push_back(&reduction);
    missing_[&reduction] = makers.size();
  }

  void place(const Node& node) {
    Device* device = device_of_(node);
    line(device);
    if (is_alias(node) || is_collective(node)) return;
    cut_before(node);
    const bool every_turn = in_every_turn(node);
    for (const Value& input : node.inputs()) need(input, device, every_turn);
    for (const Node* reduction : feeds_[&node]) take_over(*reduction);
    if (is_vote(node)) meet();
    line(device).entries.push_back({Kind::kCompute, &node, {}, 0, every_turn});
    for (const Node* reduction : feeds_[&node])
      if (--missing_[reduction] == 0) {
        line(device_of_(*reduction)).entries.push_back({Kind::kStart, reduction, {}});
        started_.push_back(reduction);
      }
  }

  const Graph& graph_;
  const DeviceOf& device_of_;
  const std::vector<bool>& every_turn_;
  const bool exchanges_each_;
  const Node* first_cut_ = nullptr;
  std::vector<Schedule> schedules_;
  std::map<const Node*, std::vector<const Node*>> feeds_;  ///< reductions that a node feeds
  std::map<const Node*, size_t> missing_;    ///< makers that a reduction still waits for
  std::map<int64_t, const Node*> by_group_;  ///< those that take over memory from each other
  std::vector<const Node*> started_;
  std::set<const Node*> waited_;
  std::set<const Node*> settled_;  ///< waited for in an earlier segment
  std::map<std::tuple<const Node*, int, Device*, Kind>, size_t> transfers_;  ///< where they stand
};

}  // namespace

std::vector<Schedule> make_schedules(const Graph& graph, const DeviceOf& device_of,
                                     const std::vector<bool>& every_turn, bool exchanges_each) {
  return Scheduler(graph, device_of, every_turn, exchanges_each).run();
}

}  // namespace cohort
