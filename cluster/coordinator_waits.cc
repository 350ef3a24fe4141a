// What the leader's tasks wait for: barriers, values that nobody has inserted yet, and the others'
// good-byes. Who lives and who has failed is in coordinator.cc.
#include <algorithm>

#include "cohort/cluster/coordinator.h"
#include "cohort/cluster/key_value_store.h"

namespace cohort::cluster {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongest = std::chrono::hours(24 * 365);

milliseconds clamped(milliseconds timeout) {
  return std::clamp(timeout, milliseconds(0), kLongest);
}

int64_t milliseconds_between(TimePoint begin, TimePoint end) {
  return std::chrono::duration_cast<milliseconds>(end - begin).count();
}

}  // namespace

void Coordinator::barrier(const Task& caller, const std::string& name,
                          std::vector<Task> participants, milliseconds timeout, Done done) {
  AfterUnlock after;
  const std::lock_guard lock(mutex_);
  if (error_) return after.finish(std::move(done), error_);
  const bool all = participants.empty();
  if (all && num_left_ > 0) participants = options_.tasks;
  for (const Task& task : participants) {
    if (seat(task).state == State::kLeft)
      throw FailedPrecondition("barrier {}: {} has left the cluster and will not come", name,
                               task.to_string());
  }
  const TimePoint now = options_.now();
  auto named =
      all ? everyone_ : std::make_shared<std::set<Task>>(participants.begin(), participants.end());
  barriers_.enter(caller, name, std::move(named), now, clamped(timeout), std::move(done), after);
}

void Coordinator::insert(const std::string& key, const std::string& value) {
  AfterUnlock after;
  const std::lock_guard lock(mutex_);
  throw_if_failed();
  if (key.size() + value.size() > kMaxValueBytes)
    throw InvalidArgument("key-value store: got {} bytes; want at most {}",
                          key.size() + value.size(), kMaxValueBytes);
  const auto [at, inserted] = values_.emplace(normalize_key(key), value);
  if (!inserted) throw AlreadyExists("key-value store: {} is there already", at->first);
  const auto [begin, end] = getting_.equal_range(at->first);
  for (auto wait = begin; wait != end; ++wait)
    after.finish(std::move(wait->second.done), {}, value);
  getting_.erase(begin, end);
}

void Coordinator::get(const std::string& key, milliseconds timeout, Done done) {
  AfterUnlock after;
  const std::string name = normalize_key(key);
  const std::lock_guard lock(mutex_);
  if (error_) return after.finish(std::move(done), error_);
  if (const auto found = values_.find(name); found != values_.end())
    return after.finish(std::move(done), {}, found->second);
  const TimePoint now = options_.now();
  getting_.emplace(name, Call{now, now + clamped(timeout), std::move(done)});
}

std::optional<std::string> Coordinator::try_get(const std::string& key) const {
  const std::string name = normalize_key(key);
  const std::lock_guard lock(mutex_);
  throw_if_failed();
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

std::vector<Task> Coordinator::not_left() const {
  std::vector<Task> tasks;
  for (const Task& task : options_.tasks)
    if (seats_.at(task).state != State::kLeft) tasks.push_back(task);
  return tasks;
}

void Coordinator::leave(const Task& task, milliseconds timeout, Done done, uint64_t calls) {
  AfterUnlock after;
  const std::lock_guard lock(mutex_);
  if (error_) return after.finish(std::move(done), error_);
  Seat& seat = this->seat(task);
  if (seat.state != State::kLeft) ++num_left_;
  seat.state = State::kLeft;
  seat.calls = calls;
  waiting_.report(task, {});
  barriers_.remove(task, after);
  const TimePoint now = options_.now();
  leaving_.push_back({now, now + clamped(timeout), std::move(done)});
  check_calls(after);
  if (!all_left()) return;
  for (Call& wait : leaving_) after.finish(std::move(wait.done));
  leaving_.clear();
}

// Once, when the first that has left has waited for a while.
void Coordinator::warn_of_leaving(TimePoint now, AfterUnlock& after) {
  if (!options_.warn || warned_of_leaving_ || leaving_.empty() ||
      now - leaving_.front().begin < options_.late_after)
    return;
  warned_of_leaving_ = true;
  after.add([warn = options_.warn,
             line = fmt::format(
                 "cluster: {} of {} tasks are done and have waited for {:.0f} s for {}", num_left_,
                 seats_.size(), std::chrono::duration<double>(now - leaving_.front().begin).count(),
                 task_list(not_left()))] { warn(line); });
}

void Coordinator::expire_waits(TimePoint now, AfterUnlock& after) {
  barriers_.expire(now, after);
  if (options_.warn)
    for (std::string& line : barriers_.late(now, options_.late_after))
      after.add([warn = options_.warn, line = std::move(line)] { warn(line); });
  for (auto at = getting_.begin(); at != getting_.end();) {
    auto& [key, wait] = *at;
    if (now < wait.deadline) {
      ++at;
      continue;
    }
    after.finish(std::move(wait.done),
                 DeadlineExceeded("key-value store: nobody inserted {} in {} ms", key,
                                  milliseconds_between(wait.begin, now)));
    at = getting_.erase(at);
  }
  warn_of_leaving(now, after);
  std::erase_if(leaving_, [&](Call& wait) {
    if (now < wait.deadline) return false;
    after.finish(std::move(wait.done),
                 DeadlineExceeded("cluster: left, but after {} ms these have not: {}",
                                  milliseconds_between(wait.begin, now), task_list(not_left())));
    return true;
  });
}

}  // namespace cohort::cluster
