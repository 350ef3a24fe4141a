#include "distribute/worker_group.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <fstream>

#include "cluster/peer_wait.h"
#include "core/system.h"
#include "distribute/host_table.h"
#include "distribute/process_group.h"
#include "distribute/transport/mpi_world.h"

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

}  // namespace

template <class Work>
auto WorkerGroup::or_report(Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    report_error(error);
    throw;
  } catch (const std::exception& error) {
    report_error(ResourceExhausted("workers: {}", describe(error)));
    throw;
  }
}

WorkerGroup::WorkerGroup(std::unique_ptr<cluster::Membership> membership, Options options)
    : membership_(std::move(membership)),
      options_(std::move(options)),
      exceptions_(std::uncaught_exceptions()) {
  const auto& tasks = membership_->tasks();
  worker_ =
      static_cast<int>(std::find(tasks.begin(), tasks.end(), membership_->self()) - tasks.begin());
  COHORT_CHECK(worker_ < count());
  or_report([&] { meet(); });
}

void WorkerGroup::meet() {
  meet_hosts();
  exchange_ = std::make_unique<ProcessExchange>(std::move(
      connect(std::vector<int>(static_cast<size_t>(count()), 1), "exchange", DType::kF32).front()));
  watch_ = membership_->watch([this](const Error& error) { switch_.fail(error); });
  watched_exchange_ = watch(exchange_->communicator());
}

WorkerGroup::~WorkerGroup() {
  if (options_.mpi && (failed_ || membership_->error() || std::uncaught_exceptions() > exceptions_))
    options_.mpi->give_up();
  metrics_.reset();
  try {
    if (std::uncaught_exceptions() > exceptions_ && !failed_)
      membership_->report_error(Error(Code::kUnavailable, "ended with an error"));
    else if (!failed_ && !membership_->error())
      membership_->leave(options_.timeout);
  } catch (const Error&) {
    // Nobody is left to hear it.
  }
  membership_->unwatch(watch_);
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
                                                                const std::string& name,
                                                                DType gradient_dtype) {
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
  options.gradient_dtype = gradient_dtype;
  for (int worker = 0; worker < count(); ++worker) options.process_names.push_back(name_of(worker));
  return make_process_communicators(options);
}

std::vector<std::unique_ptr<Communicator>> WorkerGroup::make_communicators(
    std::vector<int> block_sizes, DType gradient_dtype) {
  const std::string name = "group/" + std::to_string(groups_++);
  return or_report([&] { return connect(std::move(block_sizes), name, gradient_dtype); });
}

std::vector<std::string> WorkerGroup::all_gather(std::string_view label, std::string_view mine) {
  return exchange_->all_gather(label, mine);
}

void WorkerGroup::broadcast(std::string_view label, void* data, size_t bytes) {
  exchange_->broadcast(label, data, bytes);
}

std::shared_ptr<void> WorkerGroup::watch(Communicator& communicator) {
  return std::make_shared<AbortSwitch::Entry>(switch_, communicator);
}

void WorkerGroup::report_error(const Error& error) {
  if (failed_ || membership_->error()) return;  // the others know, or know more
  failed_ = true;
  membership_->report_error(error);
}

}  // namespace cohort::distribute
