#include "distribute/worker_group.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <fstream>

#include "distribute/host_table.h"
#include "distribute/process_group.h"
#include "distribute/transport/mpi_world.h"

namespace cohort::distribute {
namespace {

/// Processes with equal answers can share memory.
std::string host_identity() {
  std::string identity;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), identity);
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

WorkerGroup::WorkerGroup(std::unique_ptr<cluster::Membership> membership, Options options)
    : membership_(std::move(membership)),
      options_(std::move(options)),
      exceptions_(std::uncaught_exceptions()) {
  const auto& tasks = membership_->tasks();
  worker_ =
      static_cast<int>(std::find(tasks.begin(), tasks.end(), membership_->self()) - tasks.begin());
  COHORT_CHECK(worker_ < count());
  meet_hosts();
  watch_ = membership_->watch([this](const Error& error) { switch_.fail(error); });
  exchange_ = std::make_unique<ProcessExchange>(
      std::move(connect(std::vector<int>(tasks.size(), 1), "exchange", DType::kF32).front()));
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
  if (worker_ == 0) {
    std::vector<std::string> told;
    try {
      for (int worker = 0; worker < count(); ++worker)
        told.push_back(membership_->get(key(worker), options_.timeout));
    } catch (const Error& error) {
      if (!membership_->error()) membership_->report_error(error);
      throw;
    }
    membership_->insert(kTable, HostTable::of(told).to_string());
  }
  const HostTable table = HostTable::parse(membership_->get(kTable, options_.timeout), count());
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
  options.timeout = options_.timeout;
  options.address = options_.address;
  options.tls = options_.tls;
  options.mpi = options_.mpi;
  options.wait_board = options_.wait_board;
  options.gradient_dtype = gradient_dtype;
  for (int worker = 0; worker < count(); ++worker) options.process_names.push_back(name_of(worker));
  return make_process_communicators(options);
}

std::vector<std::unique_ptr<Communicator>> WorkerGroup::make_communicators(
    std::vector<int> block_sizes, DType gradient_dtype) {
  const auto entered = enter("the making of a step");
  return connect(std::move(block_sizes), "group/" + std::to_string(groups_++), gradient_dtype);
}

OneThread::Entered WorkerGroup::enter(const char* what) {
  return together_.enter(membership_->self().to_string(), what);
}

std::vector<std::string> WorkerGroup::all_gather(std::string_view label, std::string_view mine) {
  const auto entered = enter("an exchange");
  return exchange_->all_gather(label, mine);
}

void WorkerGroup::broadcast(std::string_view label, void* data, size_t bytes) {
  const auto entered = enter("an exchange");
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
