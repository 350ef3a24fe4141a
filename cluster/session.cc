#include "cohort/cluster/session.h"

#include <mutex>

#include "cohort/cluster/foreign_text.h"

namespace cohort::cluster {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxPlaceBytes = 200;

Message failure(MessageKind kind, uint64_t id, const Error& error) {
  return {.kind = kind,
          .id = id,
          .code = static_cast<int>(error.code()),
          .error = std::string(error.what()).substr(0, kMaxErrorBytes)};
}

// A call that the cluster's failure ended is answered with that failure: whoever sees the call fail
// sees the cluster failed.
void refuse_call(const Coordinator& coordinator, Pipe& pipe, uint64_t id, const Error& error) {
  if (const std::optional<Error> fatal = coordinator.error())
    pipe.send(failure(MessageKind::kFailed, 0, *fatal));
  pipe.send(failure(MessageKind::kReply, id, error));
}

// For `coordinator` to call.
Done reply_to(const Coordinator& coordinator, std::shared_ptr<Pipe> pipe, uint64_t id) {
  return [&coordinator, pipe = std::move(pipe), id](const Error* error, const std::string& value) {
    if (error)
      refuse_call(coordinator, *pipe, id, *error);
    else
      pipe->send({.kind = MessageKind::kReply, .id = id, .value = value});
  };
}

class Session {
 public:
  Session(std::shared_ptr<Coordinator> coordinator, std::shared_ptr<Pipe> pipe, Peer peer)
      : coordinator_(std::move(coordinator)), pipe_(std::move(pipe)), peer_(std::move(peer)) {}

  void receive(Message message) {
    if (!pipe_) return;
    const uint64_t id = message.id;
    try {
      if (task_)
        handle(std::move(message));
      else
        take_seat(message);
    } catch (const Error& error) {
      if (task_) return refuse_call(*coordinator_, *pipe_, id, error);
      pipe_->send(failure(MessageKind::kFailed, id, error));
      end();
    }
  }

  void closed(const std::string& reason) {
    if (task_)
      coordinator_->disconnect(*task_, incarnation_, end_reason_.empty() ? reason : end_reason_);
    pipe_.reset();
  }

 private:
  void take_seat(const Message& message) {
    if (message.kind != MessageKind::kRegister || !message.registration)
      throw InvalidArgument("cluster: got message {} from {}; want a registration first",
                            static_cast<int>(message.kind), peer_.address);
    Registration newcomer = *message.registration;
    newcomer.place = printable(newcomer.place, kMaxPlaceBytes);
    if (!peer_.address.empty()) newcomer.place += " at " + peer_.address;
    coordinator_->register_task(
        newcomer, {.started = [pipe = pipe_] { pipe->send({.kind = MessageKind::kStarted}); },
                   .failed =
                       [pipe = pipe_](const Error& error) {
                         pipe->send(failure(MessageKind::kFailed, 0, error));
                         pipe->close();
                       },
                   .far = !peer_.address.empty()});
    task_ = newcomer.task;
    incarnation_ = newcomer.incarnation;
    if (peer_.admit) peer_.admit();
    pipe_->send({.kind = MessageKind::kRegistered});
  }

  void handle(Message message) {
    const milliseconds timeout(message.timeout_ms);
    switch (message.kind) {
      case MessageKind::kHeartbeat:
        coordinator_->heartbeat(*task_, incarnation_, std::move(message.waits), message.calls);
        return pipe_->send({.kind = MessageKind::kAlive, .error = coordinator_->missing_text()});
      case MessageKind::kInsert:
        coordinator_->insert(message.name, message.value);
        return pipe_->send({.kind = MessageKind::kReply, .id = message.id});
      case MessageKind::kGet:
        return coordinator_->get(message.name, timeout, reply_to(*coordinator_, pipe_, message.id));
      case MessageKind::kTryGet:
        return reply_if_there(message);
      case MessageKind::kBarrier:
        return coordinator_->barrier(*task_, message.name, std::move(message.tasks), timeout,
                                     reply_to(*coordinator_, pipe_, message.id));
      case MessageKind::kReportError:
        return coordinator_->report_error(*task_, error_of(message));
      case MessageKind::kLeave:
        return coordinator_->leave(
            *task_, timeout,
            [pipe = pipe_, reply = reply_to(*coordinator_, pipe_, message.id)](
                const Error* error, const std::string& value) {
              reply(error, value);
              pipe->close();
            },
            message.calls);
      case MessageKind::kEnd:
        end_reason_ = "its program ended without leaving the cluster";
        return end();
      default:
        throw InvalidArgument("cluster: got message {} from {}; want a request",
                              static_cast<int>(message.kind), peer_.address);
    }
  }

  void reply_if_there(const Message& message) {
    std::optional<std::string> value = coordinator_->try_get(message.name);
    if (!value) throw NotFound("key-value store: nobody inserted {}", message.name);
    pipe_->send({.kind = MessageKind::kReply, .id = message.id, .value = std::move(*value)});
  }

  void end() {
    const std::shared_ptr<Pipe> pipe = pipe_;
    pipe->close();
  }

  const std::shared_ptr<Coordinator> coordinator_;
  std::shared_ptr<Pipe> pipe_;
  const Peer peer_;
  std::optional<Task> task_;  // since it has its seat
  uint64_t incarnation_ = 0;
  std::string end_reason_;
};

// Both ends of a local pipe.
struct LocalLink {
  std::mutex to_leader_mutex;  // taken before the other
  PipeReceiver to_leader;      // guarded by to_leader_mutex; empty after the end
  std::mutex to_task_mutex;
  PipeReceiver to_task;  // guarded by to_task_mutex; empty after the end
};

class LeaderEnd final : public Pipe {
 public:
  explicit LeaderEnd(std::weak_ptr<LocalLink> link) : link_(std::move(link)) {}

  void send(Message message) override {
    const std::shared_ptr<LocalLink> link = link_.lock();
    if (!link) return;
    const std::lock_guard lock(link->to_task_mutex);
    if (link->to_task.received) link->to_task.received(std::move(message));
  }

  void close() override {
    const std::shared_ptr<LocalLink> link = link_.lock();
    if (!link) return;
    const std::lock_guard lock(link->to_task_mutex);
    if (link->to_task.closed) link->to_task.closed("the leader ended the connection");
    link->to_task = {};
  }

 private:
  const std::weak_ptr<LocalLink> link_;
};

class TaskEnd final : public Pipe {
 public:
  TaskEnd(std::shared_ptr<LocalLink> link, std::shared_ptr<Coordinator> coordinator)
      : link_(std::move(link)), coordinator_(std::move(coordinator)) {}
  ~TaskEnd() override {
    close();
    const std::lock_guard lock(link_->to_task_mutex);
    link_->to_task = {};
  }

  void send(Message message) override {
    const std::lock_guard lock(link_->to_leader_mutex);
    if (link_->to_leader.received) link_->to_leader.received(std::move(message));
  }

  void close() override {
    const std::lock_guard lock(link_->to_leader_mutex);
    if (link_->to_leader.closed) link_->to_leader.closed("connection closed");
    link_->to_leader = {};
  }

  void await_told(milliseconds timeout) override { coordinator_->await_told(timeout); }

 private:
  const std::shared_ptr<LocalLink> link_;
  const std::shared_ptr<Coordinator> coordinator_;
};

}  // namespace

Error error_of(const Message& message) {
  const bool known = message.code >= static_cast<int>(Code::kCancelled) &&
                     message.code <= static_cast<int>(Code::kDataLoss);
  return Error(known ? static_cast<Code>(message.code) : Code::kUnknown,
               printable_lines(message.error, kMaxErrorBytes));
}

PipeReceiver refuse_task(std::shared_ptr<Pipe> pipe, const std::string& job_id,
                         const Error& error) {
  return {.received =
              [pipe, job_id, error](const Message& message) {
                const bool ours = !job_id.empty() && message.registration &&
                                  message.registration->job_id == job_id;
                pipe->send(failure(MessageKind::kFailed, message.id,
                                   ours ? error : InvalidArgument("cluster: refused")));
                pipe->close();
              },
          .closed = [](const std::string&) {}};
}

PipeReceiver serve_task(std::shared_ptr<Coordinator> coordinator, std::shared_ptr<Pipe> pipe,
                        Peer peer) {
  auto session =
      std::make_shared<Session>(std::move(coordinator), std::move(pipe), std::move(peer));
  return {.received = [session](Message message) { session->receive(std::move(message)); },
          .closed = [session](const std::string& reason) { session->closed(reason); }};
}

std::unique_ptr<Pipe> connect_locally(std::shared_ptr<Coordinator> coordinator,
                                      PipeReceiver receiver) {
  auto link = std::make_shared<LocalLink>();
  link->to_task = std::move(receiver);
  link->to_leader = serve_task(coordinator, std::make_shared<LeaderEnd>(link), {});
  return std::make_unique<TaskEnd>(link, std::move(coordinator));
}

}  // namespace cohort::cluster
