#include "cohort/distribute/worker_group.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <fstream>

#include "cohort/cluster/peer_wait.h"
#include "cohort/core/system.h"
#include "cohort/core/terminal.h"
#include "cohort/distribute/host_table.h"
#include "cohort/distribute/process_group.h"
#include "cohort/distribute/transport/mpi_world.h"

namespace cohort::distribute {
namespace {

/// Processes with equal answers can share memory.
std::string host_identity() {
  std::string identity;
  constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";
  if (!std::getline(std::ifstream(kBootId), identity) || identity.empty())
    throw FailedPrecondition(
        "workers: cannot read {}, which tells hosts apart: {}; want /proc mounted", kBootId,
        system_reason(errno));
  for (const char* space : {"ipc", "mnt", "net", "pid"}) {
    char target[64] = {};
    const ssize_t length =
        readlink((std::string("/proc/self/ns/") + space).c_str(), target, sizeof target - 1);
    identity += '|';
    identity.append(target, static_cast<size_t>(std::max<ssize_t>(0, length)));
  }
  return identity;
}

std::string core_set() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::string cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set)) cores += std::to_string(core) + ",";
  return cores;
}

/// For the leader to find out what has happened: it sees a broken connection at once, and a link
/// that is cut a heartbeat after the five seconds that a task may be silent.
constexpr std::chrono::seconds kVerdict(6);

}  // namespace

WorkerGroup::WorkerGroup(std::unique_ptr<cluster::Membership> membership, Options options)
    : membership_(std::move(membership)),
      options_(std::move(options)),
      exceptions_(std::uncaught_exceptions()) {
  const auto& tasks = membership_->tasks();
  worker_ =
      static_cast<int>(std::find(tasks.begin(), tasks.end(), membership_->self()) - tasks.begin());
  COHORT_CHECK(worker_ < count());
  last_words_.emplace([this](const Error& why) { report_error(why); });
  watch_.emplace(*membership_, [this](const Error& error) {
    switch_.fail(error);
    cluster_failed_.set_value();
  });
  guard("the start", [&] {
    meet_hosts();
    exchange_ = std::make_unique<ProcessExchange>(
        std::move(connect(std::vector<int>(tasks.size(), 1), "exchange").front()));
  });
  watched_exchange_ = watch(exchange_->communicator());
}

WorkerGroup::~WorkerGroup() {
  if (options_.mpi && (failed_ || membership_->error() || std::uncaught_exceptions() > exceptions_))
    options_.mpi->give_up();
  last_words_.reset();
  metrics_.reset();
  try {
    if (std::uncaught_exceptions() > exceptions_)
      report_error(membership_->error().value_or(
          Error(Code::kUnknown,
                "an exception ended its part of the program outside of a call of all workers (its "
                "own output says which)")));
    else if (!failed_ && !membership_->error())
      membership_->leave(options_.timeout);
  } catch (const Error& error) {
    say(stderr,
        fmt::format("warning: {} leaves a job that has failed: {}\n", name(), error.what()));
  }
  watch_.reset();
}

std::string WorkerGroup::name_of(int worker) const {
  return membership_->tasks()[static_cast<size_t>(worker)].to_string();
}

void WorkerGroup::meet_hosts() {
  const auto key = [](int worker) { return "hosts/" + std::to_string(worker); };
  constexpr const char* kTable = "hosts/table";
  membership_->insert(key(worker_), host_identity() + "\n" + core_set());
  cluster::PeerWait wait({.store = membership_.get(),
                          .where = "workers: " + name(),
                          .timeout = options_.startup_timeout});
  if (worker_ == 0) {
    std::vector<std::string> told;
    for (int worker = 0; worker < count(); ++worker)
      told.push_back(wait.get(key(worker), [&] { return name_of(worker); }));
    membership_->insert(kTable, HostTable::of(told).to_string());
  }
  const HostTable table = HostTable::parse(
      wait.get(kTable, [&] { return name_of(0) + " (its table of hosts)"; }), count());
  sharing_cores_ = table.sharing_cores(worker_);
  for (const int host : table.host_of) hosts_.push_back(std::to_string(host));
}

std::vector<std::unique_ptr<Communicator>> WorkerGroup::connect(std::vector<int> block_sizes,
                                                                const std::string& name) {
  const int devices = static_cast<int>(block_sizes.size()) / count();
  ProcessGroupOptions options;
  for (int worker = 0; worker < count(); ++worker)
    options.process_of.insert(options.process_of.end(), static_cast<size_t>(devices), worker);
  options.block_sizes = std::move(block_sizes);
  options.process = worker_;
  options.host_of = hosts_;
  options.store = membership_.get();
  options.name = name;
  options.startup_timeout = options_.startup_timeout;
  options.timeout = options_.timeout;
  options.address = options_.address;
  options.ports = options_.ports;
  options.tls = options_.tls;
  options.mpi = options_.mpi;
  options.wait_board = options_.wait_board;
  for (int worker = 0; worker < count(); ++worker) options.process_names.push_back(name_of(worker));
  try {
    return make_process_communicators(options);
  } catch (const Error& error) {
    throw Error(explain(error));
  }
}

std::vector<std::unique_ptr<Communicator>> WorkerGroup::make_communicators(
    std::vector<int> block_sizes) {
  const std::string name = "group/" + std::to_string(groups_++);
  return guard("the making of a step", [&] { return connect(std::move(block_sizes), name); });
}

OneThread::Entered WorkerGroup::enter(const char* what) {
  return together_.enter(membership_->self().to_string(), what);
}

std::vector<std::string> WorkerGroup::all_gather(std::string_view label, std::string_view mine) {
  const auto entered = enter("an exchange");
  enter_call();
  try {
    return exchange_->all_gather(label, mine);
  } catch (const Error& error) {
    throw Error(explain(error));
  }
}

void WorkerGroup::broadcast(std::string_view label, void* data, size_t bytes) {
  const auto entered = enter("an exchange");
  enter_call();
  try {
    exchange_->broadcast(label, data, bytes);
  } catch (const Error& error) {
    throw Error(explain(error));
  }
}

std::shared_ptr<void> WorkerGroup::watch(Communicator& communicator) {
  return std::make_shared<AbortSwitch::Entry>(switch_, communicator);
}

void WorkerGroup::report_error(const Error& error) {
  if (failed_.exchange(true)) return;
  const bool foreign = is_foreign(error);
  report_.write({.task = name(), .own = !foreign, .code = error.code(), .text = error.what()});
  if (!membership_->error()) membership_->report_error(error);
}

Error WorkerGroup::explain(const Error& error) {
  if (!is_hearsay(error)) return error;
  if (!membership_->error()) cluster_failure_.wait_for(kVerdict);
  return membership_->error().value_or(error);
}

/// Whether it says what another worker's end or failure looks like from here.
bool WorkerGroup::is_hearsay(const Error& error) const {
  if (error.code() == Code::kUnavailable) return true;
  std::string_view text = error.what();
  text = text.substr(0, text.find('\n'));
  for (int worker = 0; worker < count(); ++worker)
    if (worker != worker_ && text.find(name_of(worker) + ": ") != text.npos) return true;
  return false;
}

bool WorkerGroup::is_foreign(const Error& error) const {
  const std::optional<Error> known = membership_->error();
  if (!known) return false;
  return is_hearsay(error) ||
         std::string_view(error.what()).find(known->what()) != std::string_view::npos;
}

}  // namespace cohort::distribute
