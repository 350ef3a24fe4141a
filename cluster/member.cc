#include "cohort/cluster/member.h"

#include <unistd.h>

#include <random>
#include <utility>

#include "cohort/cluster/foreign_text.h"
#include "cohort/cluster/session.h"
#include "cohort/cluster/wait_graph.h"

namespace cohort::cluster {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kDelivery(2000);  // of an error to all tasks

uint64_t new_incarnation() {
  std::random_device random;
  return (uint64_t{random()} << 32) | random();
}

std::string this_place() {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return "host " + std::string(host) + ", process " + std::to_string(getpid());
}

}  // namespace

Member::Member(Options options, std::shared_ptr<void> keep)
    : keep_(std::move(keep)), options_(std::move(options)), incarnation_(new_incarnation()) {
  on_stop_.emplace(options_.stop,
                   [this] { fail(Cancelled("cluster: {} was stopped", self().to_string())); });
}

Member::~Member() {
  on_stop_.reset();
  bool say_end;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    say_end = seat_ == Seat::kTaken && !left_;
    changed_.notify_all();
  }
  if (beat_thread_.joinable()) beat_thread_.join();
  if (pipe_ && say_end) pipe_->send({.kind = MessageKind::kEnd});
  if (pipe_) pipe_->close();
  pipe_.reset();
}

std::optional<std::string> Member::take_seat(const Connect& connect, milliseconds timeout,
                                             const std::optional<Credentials>& credentials) {
  const auto deadline = Clock::now() + timeout;
  {
    const std::lock_guard lock(mutex_);
    seat_ = credentials ? Seat::kGreeting : Seat::kAsked;
    greeting_.reset();
    if (error_ && error_->code() != Code::kCancelled) error_.reset();  // of the last attempt
  }
  pipe_ = connect({.received = [this](Message message) { received(std::move(message)); },
                   .closed = [this](const std::string& reason) { closed(reason); }});
  if (!credentials || introduce(*credentials, deadline))
    pipe_->send({.kind = MessageKind::kRegister,
                 .registration = Registration{.task = self(),
                                              .incarnation = incarnation_,
                                              .job_id = options_.job_id,
                                              .version = options_.version,
                                              .place = this_place()}});
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [&] { return seat_ != Seat::kAsked || error_; });
  if (seat_ == Seat::kTaken) {
    last_heard_ = Clock::now();
    beat_thread_ = std::thread([this] { beat(); });
    return std::nullopt;
  }
  const bool refused = seat_ == Seat::kRefused && error_->code() != Code::kUnavailable;
  std::string reason = seat_ == Seat::kRefused  ? error_->what()
                       : seat_ == Seat::kBroken ? printable_lines(broken_reason_, kMaxErrorBytes)
                                                : "the leader does not answer";
  seat_ = Seat::kNone;
  if (refused) throw Error(*error_);
  lock.unlock();
  pipe_.reset();
  return reason;
}

// False when the stream ended, or the time. Leaves no pipe when it throws.
bool Member::introduce(const Credentials& credentials, Clock::time_point deadline) {
  Introduction introduction(
      credentials, self(),
      fmt::format("the leader {} at {}", options_.tasks.front().to_string(), leader_address_));
  try {
    pipe_->send(introduction.hello());
    std::optional<Message> answer = next_greeting(deadline);
    if (!answer) return false;
    if (Message proof = introduction.prove(*answer); proof.kind == MessageKind::kProof) {
      pipe_->send(std::move(proof));
      answer = next_greeting(deadline);
      if (!answer) return false;
      introduction.check(*answer);
    }
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      seat_ = Seat::kNone;
    }
    pipe_.reset();
    throw;
  }
  const std::lock_guard lock(mutex_);
  if (seat_ == Seat::kGreeting) seat_ = Seat::kAsked;
  return seat_ == Seat::kAsked;
}

std::optional<Message> Member::next_greeting(Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline,
                      [&] { return greeting_ || seat_ != Seat::kGreeting || error_; });
  return std::exchange(greeting_, std::nullopt);
}

bool Member::wait_for_start(milliseconds timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, timeout, [&] { return started_ || error_; });
  if (error_) throw Error(*error_);
  return started_;
}

std::string Member::missing_text() const {
  const std::lock_guard lock(mutex_);
  return missing_;
}

void Member::received(Message message) {
  std::optional<Error> failure;
  {
    const std::lock_guard lock(mutex_);
    last_heard_ = Clock::now();
    if (seat_ == Seat::kGreeting) {
      greeting_ = std::move(message);
      changed_.notify_all();
      return;
    }
    switch (message.kind) {
      case MessageKind::kRegistered:
        if (seat_ == Seat::kAsked) seat_ = Seat::kTaken;
        break;
      case MessageKind::kStarted:
        if (seat_ == Seat::kAsked) seat_ = Seat::kTaken;
        started_ = true;
        break;
      case MessageKind::kAlive:
        missing_ = printable_lines(message.error, kMaxErrorBytes);
        break;
      case MessageKind::kReply:
        if (leave_id_ != 0 && message.id == leave_id_) left_ = true;
        if (const auto call = replies_.find(message.id); call != replies_.end())
          call->second = std::move(message);
        break;
      case MessageKind::kFailed:
        if (seat_ == Seat::kTaken) {
          failure = error_of(message);
        } else {
          seat_ = Seat::kRefused;
          error_ = error_of(message);
        }
        break;
      default:
        break;  // a leader of another make; what it did not say is found by the clock
    }
    changed_.notify_all();
  }
  if (failure) fail(*failure);
}

void Member::closed(const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    if (seat_ != Seat::kTaken) {
      if (seat_ == Seat::kAsked || seat_ == Seat::kGreeting) seat_ = Seat::kBroken;
      broken_reason_ = reason;
      changed_.notify_all();
      return;
    }
    if (left_ || ending_) return;
  }
  fail(Unavailable("cluster: the leader {} ({}) is gone: {}", options_.tasks.front().to_string(),
                   leader_address_, reason));
}

void Member::fail(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    const bool has_seat = seat_ == Seat::kTaken;  // else an error is that of an attempt
    if (left_ || (error_ && has_seat)) return;
    error_ = error;
    changed_.notify_all();
  }
  const std::lock_guard lock(watch_mutex_);
  told_ = error;
  for (const auto& [id, handler] : watches_) handler(error);
  watches_.clear();
}

Message Member::call(Message request) {
  uint64_t id;
  {
    const std::lock_guard lock(mutex_);
    if (error_) throw Error(*error_);
    if (left_) throw FailedPrecondition("cluster: {} has left", self().to_string());
    id = request.id = ++last_id_;
    if (request.kind == MessageKind::kLeave) leave_id_ = id;
    replies_.emplace(id, std::nullopt);
  }
  pipe_->send(std::move(request));
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return error_ || replies_.at(id); });
  std::optional<Message> reply = std::move(replies_.at(id));
  replies_.erase(id);
  if (!reply) throw Error(*error_);
  if (reply->code != 0) throw error_of(*reply);
  return std::move(*reply);
}

void Member::insert(const std::string& key, const std::string& value) {
  if (key.size() + value.size() > kMaxValueBytes)
    throw InvalidArgument("key-value store: got {} bytes for {}; want at most {}",
                          key.size() + value.size(), key.substr(0, 64), kMaxValueBytes);
  call({.kind = MessageKind::kInsert, .name = key, .value = value});
}

std::string Member::get(const std::string& key, milliseconds timeout) {
  return call({.kind = MessageKind::kGet, .name = key, .timeout_ms = timeout.count()}).value;
}

std::optional<std::string> Member::try_get(const std::string& key) {
  try {
    return call({.kind = MessageKind::kTryGet, .name = key}).value;
  } catch (const Error& error) {
    if (error.code() == Code::kNotFound) return std::nullopt;
    throw;
  }
}

void Member::barrier(const std::string& name, milliseconds timeout,
                     std::span<const Task> participants) {
  call({.kind = MessageKind::kBarrier,
        .name = name,
        .tasks = {participants.begin(), participants.end()},
        .timeout_ms = timeout.count()});
}

void Member::report_error(const Error& error) {
  pipe_->send({.kind = MessageKind::kReportError,
               .code = static_cast<int>(error.code()),
               .error = std::string(error.what()).substr(0, kMaxErrorBytes)});
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kDelivery, [&] { return error_ || left_; });
  }
  pipe_->await_told(kDelivery);
}

std::optional<Error> Member::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

int Member::watch(std::function<void(const Error&)> handler) {
  const std::lock_guard lock(watch_mutex_);
  const int id = ++last_watch_;
  if (told_)
    handler(*told_);
  else
    watches_.emplace(id, std::move(handler));
  return id;
}

void Member::unwatch(int watch) {
  const std::lock_guard lock(watch_mutex_);
  watches_.erase(watch);
}

void Member::leave(milliseconds timeout) {
  call({.kind = MessageKind::kLeave,
        .timeout_ms = std::max(timeout, milliseconds(0)).count(),
        .calls = options_.wait_board ? options_.wait_board->calls() : 0});
}

void Member::send_beat() {
  Message beat{.kind = MessageKind::kHeartbeat};
  if (options_.wait_board) {
    // One more than the leader takes: it is to know that there are.
    beat.waits = options_.wait_board->waits(WaitGraph::kMostWaits + 1);
    beat.calls = options_.wait_board->calls();
  }
  pipe_->send(std::move(beat));
}

// A leader that was only stopped hears of it when it goes on.
void Member::give_up_leader(double silence) {
  const Error error = Unavailable(
      "cluster: the leader {} ({}) is dead or cut off: it has not answered for {:.1f} s",
      options_.tasks.front().to_string(), leader_address_, silence);
  pipe_->send({.kind = MessageKind::kReportError,
               .code = static_cast<int>(error.code()),
               .error = error.what()});
  fail(error);
}

// Time in which this process was stopped is not the leader's silence.
void Member::beat() {
  Clock::time_point last_beat = Clock::now();
  std::unique_lock lock(mutex_);
  while (!ending_) {
    lock.unlock();
    send_beat();
    lock.lock();
    const Clock::time_point next = Clock::now() + options_.heartbeat_interval;
    changed_.wait_until(lock, next, [&] { return ending_; });
    const Clock::time_point now = Clock::now();
    const auto late = now - last_beat - options_.heartbeat_interval;
    if (late > options_.heartbeat_interval) last_heard_ = std::min(now, last_heard_ + late);
    last_beat = now;
    if (ending_ || left_ || error_ || now - last_heard_ <= options_.dead_after) continue;
    const double silence = std::chrono::duration<double>(now - last_heard_).count();
    lock.unlock();
    give_up_leader(silence);
    lock.lock();
  }
}

}  // namespace cohort::cluster
