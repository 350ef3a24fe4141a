#include "cohort/cluster/server.h"

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <stop_token>

#include "cohort/cluster/handshake.h"
#include "cohort/cluster/job_secret.h"
#include "cohort/cluster/join.h"
#include "cohort/cluster/membership.h"
#include "cohort/cluster/publication.h"
#include "cohort/cluster/rpc.h"
#include "cohort/cluster/session.h"
#include "cohort/cluster/shared_secret.h"

namespace cohort::cluster {
namespace {

using std::chrono::milliseconds;

// The tasks that meet: chief, worker, then other jobs by name. An evaluator is alone.
std::vector<Task> tasks_of(const ClusterSpec& cluster, const Task& self) {
  if (self.type == "evaluator") return {self};
  std::vector<std::string> jobs = cluster.jobs();
  std::erase(jobs, "evaluator");
  const auto rank = [](const std::string& job) {
    return job == "chief" ? 0 : job == "worker" ? 1 : 2;
  };
  std::stable_sort(jobs.begin(), jobs.end(),
                   [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
  std::vector<Task> tasks;
  for (const std::string& job : jobs)
    for (const int index : cluster.task_indices(job)) tasks.push_back({job, index});
  return tasks;
}

ServerOptions described_by(const ClusterResolver& resolver, ServerOptions options) {
  if (options.cluster.empty()) options.cluster = resolver.cluster_spec();
  if (options.job_name.empty()) options.job_name = resolver.task_type().value_or("");
  if (options.task_index < 0) options.task_index = resolver.task_id().value_or(-1);
  return options;
}

Task choose_task(const ServerOptions& options) {
  if (options.protocol != "grpc")
    throw InvalidArgument("server: got the protocol \"{}\"; want \"grpc\"", options.protocol);
  const ClusterSpec& cluster = options.cluster;
  std::string job = options.job_name;
  if (job.empty()) {
    if (cluster.jobs().size() != 1)
      throw InvalidArgument("server: the cluster is {}; want an explicit job_name",
                            cluster.to_string());
    job = cluster.jobs().front();
  }
  int index = options.task_index;
  if (index < 0) {
    if (cluster.num_tasks(job) != 1)
      throw InvalidArgument("server: the job {} has {} tasks; want an explicit task_index", job,
                            cluster.num_tasks(job));
    index = cluster.task_indices(job).front();
  }
  parse_address(cluster.task_address(job, index));
  return {job, index};
}

std::string key_of(const Task& task) {
  return "server/" + task.type + "/" + std::to_string(task.index);
}

}  // namespace

class Server::Impl {
 public:
  explicit Impl(ServerOptions options);
  ~Impl();

  const Task& task() const { return task_; }
  void start();
  std::string target() const;
  Membership& membership();
  std::string task_address(const Task& task, milliseconds timeout);
  void join();
  void stop(milliseconds timeout);

 private:
  using Seat = std::shared_future<std::shared_ptr<Membership>>;
  enum class State { kNew, kStarted, kStopped };

  std::shared_ptr<Membership> take_seat();
  void listen();
  void check_started() const;
  void close();

  const ServerOptions options_;
  const Task task_;
  std::vector<Task> tasks_;
  std::vector<std::string> addresses_;  // of tasks_
  int self_ = 0;
  std::stop_source stop_source_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::kNew;  // guarded by mutex_, as all below
  bool joining_ = false;
  bool left_ = false;
  std::string address_;
  std::unique_ptr<RpcServer> rpc_server_;  // of a task that does not lead, as shared_
  std::optional<Publication> shared_;
  Seat seat_;
};

Server::Impl::Impl(ServerOptions options)
    : options_(std::move(options)),
      task_(choose_task(options_)),
      tasks_(tasks_of(options_.cluster, task_)) {
  self_ = static_cast<int>(std::find(tasks_.begin(), tasks_.end(), task_) - tasks_.begin());
  for (const Task& task : tasks_) addresses_.push_back(options_.cluster.task_address(task));
  const std::string& leader = addresses_.front();
  if (tasks_.size() > 1 && parse_address(leader).port == 0 && options_.job_id.empty())
    throw InvalidArgument(
        "server: got the address {} for {}, which leads; want a port, or a job_id", leader,
        tasks_.front().to_string());
  if (options_.start) start();
}

Server::Impl::~Impl() {
  stop_source_.request_stop();
  close();
}

void Server::Impl::start() {
  std::unique_lock lock(mutex_);
  if (state_ == State::kStarted) return;
  if (state_ == State::kStopped)
    throw FailedPrecondition("server: {} has been stopped", task_.to_string());
  if (self_ != 0) listen();
  state_ = State::kStarted;
  seat_ = std::async(std::launch::async, [this] { return take_seat(); }).share();
  if (self_ != 0) return;
  changed_.wait(lock, [&] { return !address_.empty() || state_ == State::kNew; });
  if (state_ == State::kNew) seat_.get();  // throws why it cannot listen
}

// The lock is held.
void Server::Impl::listen() {
  const Address named = parse_address(options_.cluster.task_address(task_));
  const RpcModule rpc = rpc_module();
  // As the leader does: tasks of the job that have lost their way are told.
  const bool shared = options_.secret.empty() && on_one_host(addresses_);
  const std::string secret = shared ? random_secret() : options_.secret;
  Address address = resolve(named).front();
  rpc_server_ = rpc.serve(
      {.address = address,
       .keys = read_tls_keys(options_.tls),
       .accept = guard(
           {.credentials = {secret, options_.job_id, rpc.hmac_sha256},
            .accept = [id = options_.job_id,
                       error = InvalidArgument("cluster: this is {}; {} leads", task_.to_string(),
                                               tasks_.front().to_string())](
                          std::shared_ptr<Pipe> pipe,
                          const Peer&) { return refuse_task(std::move(pipe), id, error); },
            .refused = {}}),
       .reflection = options_.reflection});
  address.port = rpc_server_->port();
  if (shared) shared_ = share_secret(address.to_string(), secret);
  address_ = Address{named.host, address.port}.to_string();
}

std::shared_ptr<Membership> Server::Impl::take_seat() {
  const std::string& leader = options_.cluster.task_address(tasks_.front());
  JoinOptions options{.tasks = tasks_,
                      .self = self_,
                      .coordinator = leader,
                      .published = tasks_.size() > 1 && parse_address(leader).port == 0,
                      .addresses = addresses_,
                      .job_id = options_.job_id,
                      .secret = options_.secret,
                      .one_host = on_one_host(addresses_),
                      .reflection = options_.reflection,
                      .version = options_.version,
                      .startup_timeout = options_.startup_timeout,
                      .heartbeat_interval = options_.heartbeat_interval,
                      .dead_after = options_.dead_after,
                      .tls = options_.tls,
                      .listen_alone = true,
                      .stop = stop_source_.get_token()};
  options.on_bound = [&](const std::string& address) {
    const std::lock_guard lock(mutex_);
    address_ = address;
    changed_.notify_all();
  };
  try {
    std::shared_ptr<Membership> membership = join_cluster(options);
    membership->insert(key_of(task_), target().substr(target().find("//") + 2));
    return membership;
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (address_.empty()) state_ = State::kNew;
    changed_.notify_all();
    throw;
  }
}

std::string Server::Impl::target() const {
  const std::lock_guard lock(mutex_);
  if (address_.empty()) throw FailedPrecondition("server: {} has not started", task_.to_string());
  return "grpc://" + address_;
}

void Server::Impl::check_started() const {
  if (state_ != State::kStarted)
    throw FailedPrecondition("server: {} has {}", task_.to_string(),
                             state_ == State::kNew ? "not started" : "been stopped");
}

Membership& Server::Impl::membership() {
  Seat seat;
  {
    const std::lock_guard lock(mutex_);
    check_started();
    seat = seat_;
  }
  return *seat.get();
}

std::string Server::Impl::task_address(const Task& task, milliseconds timeout) {
  const std::string& address = options_.cluster.task_address(task);
  return parse_address(address).port != 0 ? address : membership().get(key_of(task), timeout);
}

void Server::Impl::join() {
  Seat seat;
  {
    const std::lock_guard lock(mutex_);
    check_started();
    if (joining_ || left_)
      throw FailedPrecondition("server: {} is joined twice", task_.to_string());
    joining_ = true;
    seat = seat_;
  }
  std::optional<Error> error;
  try {
    seat.get()->leave(milliseconds::max());
  } catch (const Error& failure) {
    error = failure;
  }
  seat = {};
  const std::lock_guard lock(mutex_);
  joining_ = false;
  left_ = !error;
  changed_.notify_all();
  if (error && !stop_source_.stop_requested()) throw Error(*error);
}

void Server::Impl::stop(milliseconds timeout) {
  Seat seat;
  bool waits;  // a start-up or a join
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kStarted) seat = seat_;
    state_ = State::kStopped;
    waits = joining_ ||
            (seat.valid() && seat.wait_for(std::chrono::seconds(0)) != std::future_status::ready);
  }
  if (!seat.valid()) return;
  if (waits) stop_source_.request_stop();
  bool leave;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !joining_; });
    leave = !waits && !left_;
  }
  std::optional<Error> error;
  try {
    if (leave) seat.get()->leave(timeout);
  } catch (const Error& failure) {
    error = failure;
  }
  seat = {};
  close();
  if (error) throw Error(*error);
}

// Ends what runs and frees the port.
void Server::Impl::close() {
  std::unique_ptr<RpcServer> rpc_server;
  Seat seat;
  {
    const std::lock_guard lock(mutex_);
    state_ = State::kStopped;
    rpc_server = std::move(rpc_server_);
    seat = std::move(seat_);
    shared_.reset();
  }
  seat = {};  // waits for the start-up to end
  if (rpc_server) rpc_server->stop(milliseconds(0));
}

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Server::Server(const ClusterResolver& resolver, ServerOptions options)
    : Server(described_by(resolver, std::move(options))) {}

std::unique_ptr<Server> Server::create_local_server(bool start) {
  return std::make_unique<Server>(
      ServerOptions{.cluster = ClusterSpec({{"local", {"localhost:0"}}}), .start = start});
}

Server::~Server() = default;

const Task& Server::task() const { return impl_->task(); }
void Server::start() { impl_->start(); }
std::string Server::target() const { return impl_->target(); }
Membership& Server::membership() { return impl_->membership(); }
std::string Server::task_address(const Task& task, milliseconds timeout) {
  return impl_->task_address(task, timeout);
}
void Server::join() { impl_->join(); }
void Server::stop(milliseconds timeout) { impl_->stop(timeout); }

}  // namespace cohort::cluster
