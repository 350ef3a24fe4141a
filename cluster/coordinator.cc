#include "cohort/cluster/coordinator.h"

#include <algorithm>

#include "cohort/cluster/foreign_text.h"

namespace cohort::cluster {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxShown = 320;  // bytes of what a newcomer says of himself

std::string shown(const std::string& foreign) { return printable(foreign, kMaxShown); }

double seconds(TimePoint::duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

Coordinator::Coordinator(Options options) : options_(std::move(options)) {
  for (const Task& task : options_.tasks)
    if (!seats_.try_emplace(task).second)
      throw InvalidArgument("cluster: got {} twice", task.to_string());
  if (seats_.empty()) throw InvalidArgument("cluster: got no task; want at least one");
  everyone_ = std::make_shared<std::set<Task>>(options_.tasks.begin(), options_.tasks.end());
}

Coordinator::Seat& Coordinator::seat(const Task& task) {
  const auto found = seats_.find(task);
  if (found == seats_.end())
    throw InvalidArgument("cluster: got {}; the tasks are {}", shown(task.to_string()),
                          task_list(options_.tasks));
  return found->second;
}

void Coordinator::throw_if_failed() const {
  if (error_) throw Error(*error_);
}

// Throws when the newcomer cannot have the seat.
void Coordinator::check_newcomer(Seat& seat, const Registration& newcomer, AfterUnlock& after) {
  const std::string name = newcomer.task.to_string();
  if (seat.state == State::kLeft)
    throw Unavailable("cluster: {} has been here and has left; this cluster ends", name);
  if (seat.state == State::kHere) {
    const milliseconds silence =
        std::chrono::duration_cast<milliseconds>(options_.now() - seat.last_beat);
    if (silence < 2 * options_.heartbeat_interval)
      throw AlreadyExists("cluster: {} is here already ({}); this is a second one ({})", name,
                          seat.place, newcomer.place);
    const Error restarted =
        Aborted("cluster: {} was restarted ({}; before: {})", name, newcomer.place, seat.place);
    fail_locked(restarted, after);
    throw Error(restarted);
  }
  if (newcomer.version != options_.version)
    throw FailedPrecondition("cluster: {} ({}) runs version '{}'; the leader runs '{}'", name,
                             newcomer.place, shown(newcomer.version), options_.version);
}

// The cluster has failed. One that was never here does not come back to a new one: it is told why.
void Coordinator::refuse_late(Seat& seat, const Registration& newcomer) const {
  if (seat.state != State::kEmpty)
    throw Unavailable("cluster: this cluster has failed and ends: {}", error_->what());
  seat.told = true;
  throw Aborted("cluster: the job failed before {} came: {}", newcomer.task.to_string(),
                error_->what());
}

bool Coordinator::all_told() const {
  const std::lock_guard lock(mutex_);
  return std::all_of(seats_.begin(), seats_.end(), [](const auto& entry) {
    return entry.second.state != State::kEmpty || entry.second.told;
  });
}

void Coordinator::register_task(const Registration& newcomer, Listener listener) {
  Registration registration = newcomer;
  registration.place = shown(newcomer.place);
  AfterUnlock after;
  const std::lock_guard lock(mutex_);
  if (registration.job_id != options_.job_id) {
    const Error stranger = InvalidArgument(
        "cluster: {} ({}) is of job '{}', and this is another one",
        shown(registration.task.to_string()), registration.place, shown(registration.job_id));
    if (const auto found = seats_.find(registration.task); found != seats_.end())
      found->second.turned_away = stranger.what();
    throw Error(stranger);
  }
  Seat& seat = this->seat(registration.task);
  if (error_) refuse_late(seat, registration);
  try {
    check_newcomer(seat, registration, after);
  } catch (const Error& error) {
    seat.turned_away = error.what();
    throw;
  }
  seat = {.state = State::kHere,
          .incarnation = registration.incarnation,
          .place = registration.place,
          .last_beat = options_.now(),
          .listener = std::move(listener)};
  if (++num_here_ < seats_.size()) return;
  for (const auto& [task, other] : seats_) after.add(other.listener.started);
}

void Coordinator::heartbeat(const Task& task, uint64_t incarnation, std::vector<Wait> waits,
                            uint64_t calls) {
  AfterUnlock after;
  const std::lock_guard lock(mutex_);
  throw_if_failed();
  Seat& seat = this->seat(task);
  if (seat.state == State::kEmpty)
    throw InvalidArgument("cluster: heartbeat of {}, which has not registered", task.to_string());
  if (seat.incarnation != incarnation) {
    fail_locked(Aborted("cluster: {} was restarted: heartbeat of incarnation {:x}; registered is "
                        "{:x} ({})",
                        task.to_string(), incarnation, seat.incarnation, seat.place),
                after);
    throw Error(*error_);
  }
  seat.last_beat = options_.now();
  if (!waiting_.report(task, std::move(waits)) && options_.warn)
    after.add([warn = options_.warn, name = task.to_string()] {
      warn("cluster: " + name + " has more than " + std::to_string(WaitGraph::kMostWaits) +
           " waits; the leader does not see circles through the rest of them");
    });
  seat.calls = calls;
  check_calls(after);
}

/// All tasks make the same calls in the same order: whoever has entered one more than another made
/// until it left waits for ever.
void Coordinator::check_calls(AfterUnlock& after) {
  if (num_left_ == 0) return;
  const auto left = [](const auto& entry) { return entry.second.state == State::kLeft; };
  const auto fewer = [&](const auto& a, const auto& b) {
    return std::pair(!left(a), a.second.calls) < std::pair(!left(b), b.second.calls);
  };
  const auto& [gone, last] = *std::min_element(seats_.begin(), seats_.end(), fewer);
  for (const auto& [task, seat] : seats_) {
    if (seat.state != State::kHere || seat.calls <= last.calls) continue;
    return fail_locked(
        FailedPrecondition("cluster: {} ({}) has left the cluster and will not come: it left after "
                           "{} calls of all tasks, and {} is in another (has its main returned "
                           "early?)",
                           gone.to_string(), last.place, last.calls, task.to_string()),
        after);
  }
}

void Coordinator::disconnect(const Task& task, uint64_t incarnation, const std::string& reason) {
  AfterUnlock after;
  const std::lock_guard lock(mutex_);
  Seat& seat = this->seat(task);
  if (seat.incarnation != incarnation) return;
  seat.listener = {};
  disconnected_.notify_all();
  if (seat.state != State::kHere) return;
  fail_locked(Unavailable("cluster: {}{} ({}) is gone: {}", after_stop(), task.to_string(),
                          seat.place, reason),
              after);
}

void Coordinator::await_told(milliseconds timeout) {
  std::unique_lock lock(mutex_);
  disconnected_.wait_for(lock, timeout, [&] {
    return std::none_of(seats_.begin(), seats_.end(),
                        [](const auto& entry) { return entry.second.listener.far; });
  });
}

void Coordinator::report_error(const Task& task, const Error& error) {
  const std::string name = task.to_string();
  const bool named = std::string_view(error.what()).starts_with(name + ": ");
  fail(named ? error : error.within(name));
}

void Coordinator::fail(const Error& error) {
  AfterUnlock after;
  const std::lock_guard lock(mutex_);
  fail_locked(error, after);
}

void Coordinator::fail_locked(const Error& error, AfterUnlock& after) {
  if (error_ || all_left()) return;
  error_ = error;
  for (const auto& [task, seat] : seats_)
    if (seat.listener.failed) after.add([failed = seat.listener.failed, error] { failed(error); });
  barriers_.fail(error, after);
  for (auto& [key, wait] : getting_) after.finish(std::move(wait.done), error);
  getting_.clear();
  for (Call& wait : leaving_) after.finish(std::move(wait.done), error);
  leaving_.clear();
}

std::optional<Error> Coordinator::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

bool Coordinator::started() const {
  const std::lock_guard lock(mutex_);
  return num_here_ == seats_.size();
}

std::vector<Coordinator::Missing> Coordinator::missing() const {
  const std::lock_guard lock(mutex_);
  std::vector<Missing> missing;
  for (size_t i = 0; i < options_.tasks.size(); ++i) {
    const Seat& seat = seats_.at(options_.tasks[i]);
    if (seat.state != State::kEmpty) continue;
    missing.push_back({.task = options_.tasks[i],
                       .address = i < options_.addresses.size() ? options_.addresses[i] : "",
                       .why = seat.turned_away.empty() ? seat.note : seat.turned_away});
  }
  return missing;
}

std::string Coordinator::missing_text() const {
  const std::vector<Missing> missing = this->missing();
  if (missing.empty()) return "";
  std::string text = fmt::format("{} of {} tasks {} missing: ", missing.size(),
                                 options_.tasks.size(), missing.size() == 1 ? "is" : "are");
  for (size_t i = 0; i < std::min(missing.size(), kMostNamed); ++i) {
    const auto& [task, address, why] = missing[i];
    text += (i ? ", " : "") + task.to_string();
    if (!address.empty()) text += " at " + address;
    text += " (" + (why.empty() ? "not heard of" : why) + ")";
  }
  if (missing.size() > kMostNamed) text += fmt::format(" and {} more", missing.size() - kMostNamed);
  return text;
}

void Coordinator::note(const Task& task, const std::string& why) {
  const std::lock_guard lock(mutex_);
  seat(task).note = why;
}

void Coordinator::refused(const Task& task, const std::string& peer) {
  const std::lock_guard lock(mutex_);
  const auto found = seats_.find(task);
  if (found != seats_.end())
    found->second.turned_away = fmt::format("{} came without the job's secret", shown(peer));
}

void Coordinator::tick() {
  AfterUnlock after;
  const std::lock_guard lock(mutex_);
  const TimePoint now = options_.now();
  if (error_) return;
  account_for_stop(now);
  for (const auto& [task, seat] : seats_) {
    if (seat.state != State::kHere || now - seat.last_beat <= options_.dead_after) continue;
    fail_locked(Unavailable("cluster: {} ({}) is dead or cut off: no heartbeat for {:.1f} s",
                            task.to_string(), seat.place, seconds(now - seat.last_beat)),
                after);
    return;
  }
  expire_waits(now, after);
  find_circle(now, after);
}

void Coordinator::find_circle(TimePoint now, AfterUnlock& after) {
  if (now < next_circle_check_) return;
  next_circle_check_ = now + options_.heartbeat_interval;
  if (const std::optional<std::string> circle = waiting_.find_circle())
    fail_locked(
        FailedPrecondition("cluster: the tasks wait for each other, and none can go on: {}; "
                           "want the same collectives in the same order on every task (has "
                           "one of them ended its data early?)",
                           *circle),
        after);
}

void Coordinator::account_for_stop(TimePoint now) {
  const auto gap = last_tick_ ? now - *last_tick_ : TimePoint::duration(0);
  last_tick_ = now;
  if (gap <= options_.heartbeat_interval) return;
  for (auto& [task, seat] : seats_) seat.last_beat = std::min(now, seat.last_beat + gap);
  barriers_.postpone(gap);
  const auto postpone = [gap](Call& call) {
    call.begin += gap;
    call.deadline += gap;
  };
  for (auto& [key, call] : getting_) postpone(call);
  for (Call& call : leaving_) postpone(call);
  if (gap <= options_.dead_after) return;
  last_stop_ = gap;
  last_stop_end_ = now;
}

/// What goes before the end of a task soon after a stop of this process: it has given the leader
/// up.
std::string Coordinator::after_stop() const {
  if (last_stop_.count() == 0 || options_.now() - last_stop_end_ > options_.dead_after) return "";
  return fmt::format("the leader {} was stopped for {:.1f} s; ", options_.tasks.front().to_string(),
                     seconds(last_stop_));
}

}  // namespace cohort::cluster
