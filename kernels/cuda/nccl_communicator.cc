#include "cohort/kernels/cuda/nccl_communicator.h"

#include <nccl.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

#include "cohort/core/runtime/spin_wait.h"
#include "cohort/kernels/cuda/device.h"
#include "cohort/kernels/cuda/status.h"
#include "cohort/kernels/cuda/tree_sum.h"

namespace cohort::cuda {
namespace {

constexpr std::chrono::minutes kTimeout{10};

Code code_of(ncclResult_t status) {
  switch (status) {
    case ncclRemoteError:
    case ncclSystemError:
      return Code::kUnavailable;
    case ncclInvalidArgument:
    case ncclInvalidUsage:
      return Code::kInvalidArgument;
    default:
      return Code::kInternal;
  }
}

void check(ncclResult_t status, const char* where) {
  if (status != ncclSuccess && status != ncclInProgress)
    throw Error(code_of(status),
                fmt::format("{}: NCCL says {}", where, ncclGetErrorString(status)));
}

std::optional<ncclDataType_t> data_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return ncclFloat32;
    case DType::kF16:
      return ncclFloat16;
    case DType::kBF16:
      return ncclBfloat16;
    case DType::kF64:
      return ncclFloat64;
    case DType::kI32:
      return ncclInt32;
    case DType::kI64:
      return ncclInt64;
    case DType::kU8:
      return ncclUint8;
    case DType::kI8:
      return ncclInt8;
    default:
      return {};
  }
}

int ordinal_of(Device& device) { return static_cast<CudaDevice&>(device).ordinal(); }

ncclRedOp_t library_op(ops::ReduceOp op) {
  switch (op) {
    case ops::ReduceOp::kMean:
      return ncclAvg;
    case ops::ReduceOp::kMax:
      return ncclMax;
    case ops::ReduceOp::kMin:
      return ncclMin;
    default:
      return ncclSum;
  }
}

// The bytes that each rank gives to one gather; negative until its rank has prepared it.
struct Sizes {
  explicit Sizes(size_t ranks) : bytes(ranks) {
    for (auto& each : bytes) each.store(-1);
  }
  std::vector<std::atomic<int64_t>> bytes;
};

// What the ranks that this process has in one group share.
class Group {
 public:
  /// All ranks are here.
  explicit Group(std::span<Device* const> devices)
      : comms_(devices.size()),
        num_ranks_(static_cast<int>(devices.size())),
        prepared_(devices.size(), 0) {
    std::vector<int> ordinals;
    for (Device* device : devices) ordinals.push_back(ordinal_of(*device));
    check(ncclCommInitAll(comms_.data(), num_ranks_, ordinals.data()), "ncclCommInitAll");
  }

  /// Other processes have the other ranks. No call of NCCL blocks: what it has taken over is waited
  /// for in settle(), which sees the deadline and the job's failure.
  explicit Group(const JobGroup& job)
      : comms_(job.devices.size(), nullptr),
        job_(job),
        first_rank_(job.first_rank()),
        num_ranks_(job.num_ranks()),
        timeout_(job.timeout),
        prepared_(job.devices.size(), 0) {
    try {
      join(job);
    } catch (const Error& error) {
      abort(error);
      throw;
    }
  }

  ~Group() {
    if (aborted_.load()) return;
    const bool quiet = !job_ || finalize();
    for (ncclComm_t comm : comms_) (void)(quiet ? ncclCommDestroy(comm) : ncclCommAbort(comm));
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  int size() const { return num_ranks_; }

  /// Calls `work` with the communicator of `rank`; when it returns, NCCL has enqueued the work.
  template <class Work>
  void submit(int rank, Work&& work) {
    if (!job_) {
      if (aborted_.load()) throw_failure();
      work(comm(rank));
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      if (error_) throw Error(*error_);
      work(comm(rank));
    }
    settle(rank, "collective");
  }

  void abort(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (error_) return;
    error_ = error;
    aborted_.store(true);
    for (ncclComm_t comm : comms_)
      if (comm) (void)ncclCommAbort(comm);
  }

  /// Ends a wait on `rank` that cannot end by itself.
  void watch(int rank, std::chrono::milliseconds waited) {
    watch(rank, state_of(rank), waited, "all_reduce");
  }

  /// The n-th gather of every rank is one. With other processes: collective.
  Sizes& next_gather(int rank, size_t bytes) {
    Sizes& sizes = gather_of(rank);
    sizes.bytes[static_cast<size_t>(rank)].store(static_cast<int64_t>(bytes));
    if (!job_) return sizes;
    const auto all = job_->all_gather("NCCL gather", std::to_string(bytes));
    const size_t each = comms_.size();
    for (size_t process = 0; process < all.size(); ++process)
      sizes.bytes[process * each + local(rank)].store(std::stoll(all[process]));
    return sizes;
  }

 private:
  size_t local(int rank) const { return static_cast<size_t>(rank - first_rank_); }
  ncclComm_t comm(int rank) const { return comms_[local(rank)]; }

  void join(const JobGroup& job) {
    ncclUniqueId id;
    if (job.id.size() != sizeof id.internal)
      throw Internal("NCCL: got an id of {} bytes; want {}", job.id.size(), sizeof id.internal);
    std::memcpy(id.internal, job.id.data(), sizeof id.internal);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    check(ncclGroupStart(), "ncclGroupStart");
    for (size_t i = 0; i < comms_.size(); ++i) {
      DeviceGuard guard(ordinal_of(*job.devices[i]));
      check(ncclCommInitRankConfig(&comms_[i], num_ranks_, id, first_rank_ + static_cast<int>(i),
                                   &config),
            "ncclCommInitRankConfig");
    }
    check(ncclGroupEnd(), "ncclGroupEnd");
    for (size_t i = 0; i < comms_.size(); ++i)
      settle(first_rank_ + static_cast<int>(i), "start of the group");
  }

  ncclResult_t state_of(int rank) {
    const std::lock_guard lock(mutex_);
    if (error_) throw Error(*error_);
    ncclResult_t state = ncclSuccess;
    check(ncclCommGetAsyncError(comm(rank), &state), "ncclCommGetAsyncError");
    return state;
  }

  /// Waits until NCCL has done what it was asked for on the host.
  void settle(int rank, const char* what) {
    const auto begin = std::chrono::steady_clock::now();
    for (ncclResult_t state = state_of(rank); state != ncclSuccess; state = state_of(rank)) {
      const auto waited = std::chrono::steady_clock::now() - begin;
      watch(rank, state, std::chrono::duration_cast<std::chrono::milliseconds>(waited), what);
      std::this_thread::yield();
    }
  }

  void watch(int rank, ncclResult_t state, std::chrono::milliseconds waited, const char* what) {
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

  Sizes& gather_of(int rank) {
    const std::lock_guard lock(mutex_);
    const size_t index = prepared_[local(rank)]++;
    while (gathers_.size() <= index)
      gathers_.push_back(std::make_unique<Sizes>(static_cast<size_t>(num_ranks_)));
    return *gathers_[index];
  }

  /// Flushes the communicators; false when that does not end. ncclCommDestroy does not block then.
  bool finalize() {
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

  [[noreturn]] void throw_failure() {
    const std::lock_guard lock(mutex_);
    throw error_ ? *error_ : Internal("NCCL group: aborted without an error");
  }

  std::vector<ncclComm_t> comms_;  // of the ranks here; calls of a job's are guarded by mutex_
  const std::optional<JobGroup> job_;
  const int first_rank_ = 0;
  const int num_ranks_;
  const std::chrono::milliseconds timeout_ = kTimeout;
  std::atomic<bool> aborted_{false};
  std::mutex mutex_;
  std::optional<Error> error_;                   // guarded by mutex_
  std::vector<size_t> prepared_;                 // guarded by mutex_
  std::vector<std::unique_ptr<Sizes>> gathers_;  // guarded by mutex_
};

// start(): the communication stream takes over when the compute stream has come this far. wait():
// the compute stream goes on when the communication stream has got through. Both are recordable.
class NcclRequest : public Communicator::Request {
 public:
  NcclRequest(std::shared_ptr<Group> group, CudaDevice& device, int rank)
      : group_(std::move(group)), streams_(device.streams()), rank_(rank) {
    DeviceGuard guard(streams_->ordinal);
    ready_ = make_event();
    done_ = make_event();
  }

  void start() override {
    order(streams_->compute, streams_->communication, ready_);
    submit(streams_->communication);
    cuda::check(cudaEventRecord(done_, streams_->communication), "cudaEventRecord");
  }
  void wait() override {
    cuda::check(cudaStreamWaitEvent(streams_->compute, done_, 0), "cudaStreamWaitEvent");
  }

 protected:
  virtual void submit(cudaStream_t stream) = 0;

  std::shared_ptr<Group> group_;
  std::shared_ptr<Streams> streams_;
  const int rank_;

 private:
  Event ready_, done_;
};

// NCCL's own all-reduce adds in an order of its choice. Where that could matter (sums of three and
// more), chunk r of every rank goes to rank r, which adds them in the tree, and the sums go to
// everyone: the same bytes as a ring.
class NcclAllReduce final : public NcclRequest {
 public:
  NcclAllReduce(std::shared_ptr<Group> group, CudaDevice& device, int rank, void* const* buffer,
                DType dtype, int64_t num_elements, ops::ReduceOp op)
      : NcclRequest(std::move(group), device, rank),
        buffer_(buffer),
        dtype_(dtype),
        num_elements_(num_elements),
        op_(op) {
    const bool sum = op == ops::ReduceOp::kSum || op == ops::ReduceOp::kMean;
    in_tree_ = sum && ranks() > 2;
    if (!in_tree_) return;
    const int64_t line = 64 / static_cast<int64_t>(size_of(dtype));
    chunk_ = ((num_elements + ranks() - 1) / ranks() + line - 1) / line * line;
    others_ = device.allocate(static_cast<size_t>(chunk_ * ranks()) * size_of(dtype));
  }

 private:
  int ranks() const { return group_->size(); }
  int64_t count(int rank) const {
    return std::clamp<int64_t>(num_elements_ - rank * chunk_, 0, chunk_);
  }
  std::byte* chunk_of(void* base, int rank) const {
    return static_cast<std::byte*>(base) + rank * chunk_ * static_cast<int64_t>(size_of(dtype_));
  }

  void submit(cudaStream_t stream) override {
    if (num_elements_ == 0) return;
    if (in_tree_) {
      reduce_in_tree(stream);
      return;
    }
    group_->submit(rank_, [&](ncclComm_t comm) {
      check(ncclAllReduce(*buffer_, *buffer_, static_cast<size_t>(num_elements_),
                          *data_type(dtype_), library_op(op_), comm, stream),
            "ncclAllReduce");
    });
  }

  void reduce_in_tree(cudaStream_t stream) {
    void* mine = chunk_of(*buffer_, rank_);
    exchange(stream, [&](int peer) {
      return Transfer{chunk_of(*buffer_, peer), count(peer), chunk_of(others_.get(), peer),
                      count(rank_)};
    });
    tree_sum(dtype_, rank_, ranks(), mine, others_.get(), chunk_, count(rank_),
             op_ == ops::ReduceOp::kMean ? ranks() : 1, stream);
    exchange(stream, [&](int peer) {
      return Transfer{mine, count(rank_), chunk_of(*buffer_, peer), count(peer)};
    });
  }

  struct Transfer {
    const void* send;
    int64_t send_count;
    void* receive;
    int64_t receive_count;
  };
  template <class TransferWith>
  void exchange(cudaStream_t stream, TransferWith&& transfer_with) {
    const ncclDataType_t type = *data_type(dtype_);
    group_->submit(rank_, [&](ncclComm_t comm) {
      check(ncclGroupStart(), "ncclGroupStart");
      for (int peer = 0; peer < ranks(); ++peer) {
        if (peer == rank_) continue;
        const Transfer t = transfer_with(peer);
        if (t.send_count > 0)
          check(ncclSend(t.send, static_cast<size_t>(t.send_count), type, peer, comm, stream),
                "ncclSend");
        if (t.receive_count > 0)
          check(ncclRecv(t.receive, static_cast<size_t>(t.receive_count), type, peer, comm, stream),
                "ncclRecv");
      }
      check(ncclGroupEnd(), "ncclGroupEnd");
    });
  }

  void* const* buffer_;
  const DType dtype_;
  const int64_t num_elements_;
  const ops::ReduceOp op_;
  bool in_tree_ = false;
  int64_t chunk_ = 0;             // elements
  std::shared_ptr<void> others_;  // chunk rank_ of every rank
};

class NcclAllGather final : public NcclRequest {
 public:
  NcclAllGather(std::shared_ptr<Group> group, CudaDevice& device, int rank, void* const* input,
                size_t bytes, void* const* output)
      : NcclRequest(std::move(group), device, rank),
        input_(input),
        output_(output),
        sizes_(group_->next_gather(rank, bytes)) {}

 private:
  size_t bytes_of(size_t rank) {
    const std::atomic<int64_t>& bytes = sizes_.bytes[rank];
    if (!spin_wait([&] { return bytes.load() >= 0; }, kTimeout))
      throw DeadlineExceeded("all_gather: rank {}: rank {} prepared no such gather in 600 s", rank_,
                             rank);
    return static_cast<size_t>(bytes.load());
  }

  void submit(cudaStream_t stream) override {
    const auto ranks = static_cast<size_t>(group_->size());
    const size_t mine = bytes_of(static_cast<size_t>(rank_));
    for (size_t peer = 0; peer < ranks; ++peer) (void)bytes_of(peer);
    group_->submit(rank_, [&](ncclComm_t comm) {
      auto* to = static_cast<std::byte*>(*output_);
      check(ncclGroupStart(), "ncclGroupStart");
      for (size_t peer = 0; peer < ranks; to += bytes_of(peer++)) {
        const int number = static_cast<int>(peer);
        if (mine > 0) check(ncclSend(*input_, mine, ncclUint8, number, comm, stream), "ncclSend");
        if (bytes_of(peer) > 0)
          check(ncclRecv(to, bytes_of(peer), ncclUint8, number, comm, stream), "ncclRecv");
      }
      check(ncclGroupEnd(), "ncclGroupEnd");
    });
  }

  void* const* input_;
  void* const* output_;
  Sizes& sizes_;
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::shared_ptr<Group> group, CudaDevice& device, int rank)
      : group_(std::move(group)), device_(device), rank_(rank) {
    monitor_ = device.add_monitor([group = group_.get(), rank](std::chrono::milliseconds waited) {
      group->watch(rank, waited);
    });
  }

  int rank() const override { return rank_; }
  int size() const override { return group_->size(); }
  std::shared_ptr<void> allocate_bucket(size_t bytes) override { return device_.allocate(bytes); }

  std::unique_ptr<Request> prepare_all_reduce(void* const* buffer, DType dtype,
                                              int64_t num_elements, ops::ReduceOp op) override {
    if (!data_type(dtype))
      throw InvalidArgument("all_reduce: got {}; want a floating or integer dtype", dtype);
    return std::make_unique<NcclAllReduce>(group_, device_, rank_, buffer, dtype, num_elements, op);
  }
  std::unique_ptr<Request> prepare_all_gather(void* const* input, size_t bytes,
                                              void* const* output) override {
    return std::make_unique<NcclAllGather>(group_, device_, rank_, input, bytes, output);
  }
  void abort(const Error& error) override { group_->abort(error); }

 private:
  std::shared_ptr<Group> group_;
  CudaDevice& device_;
  int rank_;
  std::shared_ptr<CudaDevice::Monitor> monitor_;
};

std::vector<std::unique_ptr<Communicator>> communicators_of(const std::shared_ptr<Group>& group,
                                                            std::span<Device* const> devices,
                                                            int first_rank) {
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (Device* device : devices)
    ranks.push_back(std::make_unique<NcclCommunicator>(
        group, static_cast<CudaDevice&>(*device), first_rank + static_cast<int>(ranks.size())));
  return ranks;
}

void want_gpus(std::span<Device* const> devices) {
  for (const Device* device : devices)
    if (device->type() != DeviceType::kGPU)
      throw InvalidArgument("NCCL: got {}; want GPUs", device->name().to_string());
}

std::string make_id() {
  ncclUniqueId id;
  check(ncclGetUniqueId(&id), "ncclGetUniqueId");
  return {id.internal, sizeof id.internal};
}

std::string identity(const Device& device) {
  char bus[32] = {};
  const int ordinal = static_cast<const CudaDevice&>(device).ordinal();
  cudaDeviceProp properties;
  cuda::check(cudaGetDeviceProperties(&properties, ordinal), "cudaGetDeviceProperties");
  cuda::check(cudaDeviceGetPCIBusId(bus, sizeof bus, ordinal), "cudaDeviceGetPCIBusId");
  std::string uuid;
  for (const char byte : properties.uuid.bytes)
    uuid += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return fmt::format("{} at {} ({})", properties.name, bus, uuid);
}

std::vector<std::unique_ptr<Communicator>> make_of_job(const JobGroup& job) {
  want_gpus(job.devices);
  return communicators_of(std::make_shared<Group>(job), job.devices, job.first_rank());
}

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_nccl_communicators(
    std::span<Device* const> devices) {
  want_gpus(devices);
  return communicators_of(std::make_shared<Group>(devices), devices, 0);
}

JobCommunicators nccl_job_communicators() {
  return {.make_id = make_id, .identity = identity, .make = make_of_job};
}

}  // namespace cohort::cuda
