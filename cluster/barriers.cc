#include "cohort/cluster/barriers.h"

#include <algorithm>

namespace cohort::cluster {
namespace {

std::vector<Task> difference(const std::set<Task>& all, const std::set<Task>& some) {
  std::vector<Task> rest;
  std::set_difference(all.begin(), all.end(), some.begin(), some.end(), std::back_inserter(rest));
  return rest;
}

std::vector<Task> list(const std::set<Task>& tasks) { return {tasks.begin(), tasks.end()}; }

}  // namespace

void AfterUnlock::finish(Done done, std::optional<Error> error, std::string value) {
  add([done = std::move(done), error = std::move(error), value = std::move(value)] {
    done(error ? &*error : nullptr, value);
  });
}

std::string task_list(const std::vector<Task>& tasks) {
  constexpr size_t kMost = 16;
  std::string text;
  for (size_t i = 0; i < std::min(tasks.size(), kMost); ++i)
    text += (i ? ", " : "") + tasks[i].to_string();
  if (tasks.size() > kMost) text += " and " + std::to_string(tasks.size() - kMost) + " more";
  return text;
}

bool Barriers::complete(const Round& round) {
  if (!round.error) return round.entered.size() == round.participants->size();
  return std::includes(round.entered.begin(), round.entered.end(), round.participants->begin(),
                       round.participants->end());
}

void Barriers::fail_round(Round& round, const Error& error, AfterUnlock& after) {
  round.error = error;
  for (Done& done : round.waiting) after.finish(std::move(done), error);
  round.waiting.clear();
}

void Barriers::enter(const Task& caller, const std::string& name, Participants participants,
                     TimePoint now, std::chrono::milliseconds timeout, Done done,
                     AfterUnlock& after) {
  std::list<Round>& rounds = rounds_[name];
  auto round = std::find_if(rounds.begin(), rounds.end(),
                            [&](const Round& r) { return !r.entered.contains(caller); });
  if (!participants->contains(caller)) {
    const Error error = InvalidArgument("barrier {}: {} is not among its participants {}", name,
                                        caller.to_string(), task_list(list(*participants)));
    if (round != rounds.end() && !round->error) fail_round(*round, error, after);
    if (rounds.empty()) rounds_.erase(name);
    return after.finish(std::move(done), error);
  }
  if (round == rounds.end())
    round = rounds.insert(round,
                          {.participants = participants, .begin = now, .deadline = now + timeout});
  round->entered.insert(caller);
  round->deadline = std::min(round->deadline, now + timeout);
  if (round->error) {
    after.finish(std::move(done), round->error);
  } else {
    round->waiting.push_back(std::move(done));
    if (round->participants != participants && *round->participants != *participants) {
      const Error error =
          InvalidArgument("barrier {}: {} came with the participants {}; those before it with {}",
                          name, caller.to_string(), task_list(list(*participants)),
                          task_list(list(*round->participants)));
      auto both = std::make_shared<std::set<Task>>(*round->participants);
      both->insert(participants->begin(), participants->end());
      round->participants = std::move(both);
      fail_round(*round, error, after);
    }
  }
  if (!complete(*round)) return;
  for (Done& waiting : round->waiting) after.finish(std::move(waiting));
  rounds.erase(round);
  if (rounds.empty()) rounds_.erase(name);
}

std::string Barriers::missing(const Round& round) {
  return task_list(difference(*round.participants, round.entered));
}

void Barriers::expire(TimePoint now, AfterUnlock& after) {
  for (auto& [name, rounds] : rounds_)
    for (Round& round : rounds) {
      if (round.error || now < round.deadline) continue;
      const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(now - round.begin);
      fail_round(round,
                 DeadlineExceeded("barrier {}: {} of {} tasks came in {} ms; missing: {}", name,
                                  round.entered.size(), round.participants->size(), waited.count(),
                                  missing(round)),
                 after);
    }
}

std::vector<std::string> Barriers::late(TimePoint now, std::chrono::milliseconds late_after) {
  std::vector<std::string> lines;
  for (auto& [name, rounds] : rounds_)
    for (Round& round : rounds) {
      if (round.error || round.told_late || now - round.begin < late_after) continue;
      round.told_late = true;
      const auto waited = std::chrono::duration_cast<std::chrono::seconds>(now - round.begin);
      lines.push_back(fmt::format("barrier {}: {} of {} tasks have waited for {} s; late: {}", name,
                                  round.entered.size(), round.participants->size(), waited.count(),
                                  missing(round)));
    }
  return lines;
}

void Barriers::postpone(TimePoint::duration time) {
  for (auto& [name, rounds] : rounds_)
    for (Round& round : rounds) {
      round.begin += time;
      round.deadline += time;
    }
}

void Barriers::remove(const Task& task, AfterUnlock& after) {
  for (auto at = rounds_.begin(); at != rounds_.end();) {
    const std::string& name = at->first;
    for (Round& round : at->second) {
      if (round.entered.contains(task) || !round.participants->contains(task)) continue;
      auto others = std::make_shared<std::set<Task>>(*round.participants);
      others->erase(task);
      round.participants = std::move(others);
      if (round.error) continue;
      fail_round(round,
                 FailedPrecondition("barrier {}: {} has left the cluster and will not come", name,
                                    task.to_string()),
                 after);
    }
    at->second.remove_if(complete);
    at = at->second.empty() ? rounds_.erase(at) : std::next(at);
  }
}

void Barriers::fail(const Error& error, AfterUnlock& after) {
  for (auto& [name, rounds] : rounds_)
    for (Round& round : rounds)
      if (!round.error) fail_round(round, error, after);
  rounds_.clear();
}

}  // namespace cohort::cluster
