#include "cohort/kernels/cuda/nccl/group.h"

#include <cstring>
#include <string>

#include "cohort/core/runtime/spin_wait.h"
#include "cohort/kernels/cuda/streams.h"

namespace cohort::cuda {

GatherSizes::GatherSizes(size_t ranks) : bytes(ranks) {
  for (auto& each : bytes) each.store(-1);
}

Group::Group(std::vector<int> ordinals, CombineOrder order, int num_replicas,
             std::chrono::milliseconds timeout)
    : ordinals_(std::move(ordinals)),
      order_(std::move(order)),
      num_replicas_(num_replicas),
      num_ranks_(static_cast<int>(ordinals_.size())),
      timeout_(timeout),
      comms_(ordinals_.size(), nullptr),
      prepared_(ordinals_.size(), 0) {
  start_alone();
}

Group::Group(std::vector<int> ordinals, const JobGroup& job)
    : ordinals_(std::move(ordinals)),
      order_(job.order),
      num_replicas_(job.num_replicas),
      job_(job),
      first_rank_(job.first_rank()),
      num_ranks_(job.num_ranks()),
      timeout_(job.timeout),
      comms_(ordinals_.size(), nullptr),
      prepared_(ordinals_.size(), 0) {
  try {
    join(job);
  } catch (const Error& error) {
    abort(error);
    ending_.join();
    throw;
  }
}

Group::~Group() {
  if (ending_.joinable()) ending_.join();
  if (aborted_.load()) return;
  const bool quiet = !job_ || finalize();
  for (ncclComm_t comm : comms_) (void)(quiet ? ncclCommDestroy(comm) : ncclCommAbort(comm));
}

void Group::start_alone() {
  check(ncclCommInitAll(comms_.data(), num_ranks_, ordinals_.data()), "ncclCommInitAll");
}

void Group::join(const JobGroup& job) {
  ncclUniqueId id;
  if (job.id.size() != sizeof id.internal)
    throw Internal("NCCL: got an id of {} bytes; want {}", job.id.size(), sizeof id.internal);
  std::memcpy(id.internal, job.id.data(), sizeof id.internal);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  CallGroup calls;
  for (size_t i = 0; i < comms_.size(); ++i) {
    DeviceGuard guard(ordinals_[i]);
    check(ncclCommInitRankConfig(&comms_[i], num_ranks_, id, first_rank_ + static_cast<int>(i),
                                 &config),
          "ncclCommInitRankConfig");
  }
  calls.end();
  for (size_t i = 0; i < comms_.size(); ++i)
    settle(first_rank_ + static_cast<int>(i), "start of the group");
}

void Group::abort(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (error_) return;
  error_ = error;
  aborted_.store(true);
  ending_ = std::thread([this] { end_communicators(); });
}

/// ncclCommAbort frees what calls under way use, but also ends those that block: they get a moment.
void Group::end_communicators() {
  constexpr std::chrono::milliseconds kMoment(500);
  (void)spin_wait([this] { return calls_.load() == 0; }, kMoment);
  for (ncclComm_t& comm : comms_)
    if (comm) (void)ncclCommAbort(comm);
}

bool Group::reset() {
  if (job_) return false;
  if (!aborted_.load()) return true;
  if (ending_.joinable()) ending_.join();
  std::optional<Error> failure;
  try {
    start_alone();
  } catch (const Error& error) {
    comms_.assign(comms_.size(), nullptr);
    failure = error;
  }
  const std::lock_guard lock(mutex_);
  error_ = failure;
  aborted_.store(failure.has_value());
  return !failure;
}

void Group::throw_failure() {
  const std::lock_guard lock(mutex_);
  throw error_ ? *error_ : Internal("NCCL group: aborted without an error");
}

ncclResult_t Group::state_of(int rank) {
  const Call call(*this);
  std::unique_lock<std::mutex> turn;
  if (job_) turn = std::unique_lock(calls_mutex_);
  ncclResult_t state = ncclSuccess;
  check(ncclCommGetAsyncError(comm(rank), &state), "ncclCommGetAsyncError");
  return state;
}

/// Waits until NCCL has done what it was asked for on the host.
void Group::settle(int rank, const char* what) {
  const auto begin = std::chrono::steady_clock::now();
  for (ncclResult_t state = state_of(rank); state != ncclSuccess; state = state_of(rank)) {
    const auto waited = std::chrono::steady_clock::now() - begin;
    watch(rank, state, std::chrono::duration_cast<std::chrono::milliseconds>(waited), what);
    std::this_thread::yield();
  }
}

void Group::watch(int rank, std::chrono::milliseconds waited) {
  watch(rank, state_of(rank), waited, "all_reduce");
}

void Group::watch(int rank, ncclResult_t state, std::chrono::milliseconds waited,
                  const char* what) {
  if (state != ncclSuccess && state != ncclInProgress)
    abort(Error(job_ ? code_of(state) : Code::kUnavailable,
                fmt::format("{}: rank {} of {}: NCCL says {}: {}", what, rank, size(),
                            ncclGetErrorString(state), ncclGetLastError(nullptr))));
  else if (waited > timeout_)
    abort(DeadlineExceeded("{}: rank {} of {}: no result in {} s", what, rank, size(),
                           waited.count() / 1000));
  else if (job_)
    if (const std::optional<Error> failure = job_->failure()) abort(*failure);
  if (aborted_.load()) throw_failure();
}

std::shared_ptr<GatherSizes> Group::next_gather(int rank, size_t bytes) {
  std::shared_ptr<GatherSizes> sizes = gather_of(rank);
  sizes->bytes[static_cast<size_t>(rank)].store(static_cast<int64_t>(bytes));
  if (!job_) return sizes;
  const auto all = job_->all_gather("NCCL gather", std::to_string(bytes));
  const size_t each = comms_.size();
  for (size_t process = 0; process < all.size(); ++process)
    sizes->bytes[process * each + local(rank)].store(std::stoll(all[process]));
  return sizes;
}

std::shared_ptr<GatherSizes> Group::gather_of(int rank) {
  const std::lock_guard lock(mutex_);
  std::erase_if(gathers_, [](const auto& each) { return each.second.expired(); });
  std::weak_ptr<GatherSizes>& known = gathers_[prepared_[local(rank)]++];
  std::shared_ptr<GatherSizes> sizes = known.lock();
  if (!sizes) known = sizes = std::make_shared<GatherSizes>(static_cast<size_t>(num_ranks_));
  return sizes;
}

/// Flushes the communicators; false when that does not end. ncclCommDestroy does not block then.
bool Group::finalize() {
  constexpr std::chrono::seconds kPatience(10);
  for (ncclComm_t comm : comms_) {
    const ncclResult_t status = ncclCommFinalize(comm);
    if (status != ncclSuccess && status != ncclInProgress) return false;
  }
  bool failed = false;
  const auto quiet = [&] {
    for (ncclComm_t comm : comms_) {
      ncclResult_t state = ncclSuccess;
      if (ncclCommGetAsyncError(comm, &state) != ncclSuccess) failed = true;
      if (state == ncclInProgress && !failed) return false;
      failed = failed || state != ncclSuccess;
    }
    return true;
  };
  return spin_wait(quiet, kPatience) && !failed;
}

}  // namespace cohort::cuda
