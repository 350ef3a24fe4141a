#include "kernels/cuda/nccl_communicator.h"

#include <nccl.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>

#include "core/runtime/spin_wait.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/status.h"
#include "kernels/cuda/tree_sum.h"

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

// What the ranks of one group share.
class Group {
 public:
  explicit Group(std::span<Device* const> devices) : comms_(devices.size()) {
    std::vector<int> ordinals;
    for (Device* device : devices) ordinals.push_back(static_cast<CudaDevice*>(device)->ordinal());
    check(ncclCommInitAll(comms_.data(), size(), ordinals.data()), "ncclCommInitAll");
    prepared_.resize(devices.size(), 0);
  }
  ~Group() {
    if (!aborted_.load())
      for (ncclComm_t comm : comms_) (void)ncclCommDestroy(comm);
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  int size() const { return static_cast<int>(comms_.size()); }
  ncclComm_t comm(int rank) {
    if (aborted_.load()) throw_failure();
    return comms_[static_cast<size_t>(rank)];
  }

  void abort(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (error_) return;
    error_ = error;
    aborted_.store(true);
    for (ncclComm_t comm : comms_) (void)ncclCommAbort(comm);
  }

  /// Ends a wait on `rank` that cannot end by itself.
  void watch(int rank, std::chrono::milliseconds waited) {
    if (aborted_.load()) throw_failure();
    ncclResult_t status = ncclSuccess;
    check(ncclCommGetAsyncError(comms_[static_cast<size_t>(rank)], &status),
          "ncclCommGetAsyncError");
    if (status != ncclSuccess && status != ncclInProgress)
      abort(Unavailable("all_reduce: rank {} of {}: NCCL says {}", rank, size(),
                        ncclGetErrorString(status)));
    else if (waited > kTimeout)
      abort(DeadlineExceeded("all_reduce: rank {} of {}: no result in {} s", rank, size(),
                             waited.count() / 1000));
    if (aborted_.load()) throw_failure();
  }

  /// The n-th gather of every rank is one.
  Sizes& next_gather(int rank) {
    const std::lock_guard lock(mutex_);
    const size_t index = prepared_[static_cast<size_t>(rank)]++;
    while (gathers_.size() <= index) gathers_.push_back(std::make_unique<Sizes>(comms_.size()));
    return *gathers_[index];
  }

 private:
  [[noreturn]] void throw_failure() {
    const std::lock_guard lock(mutex_);
    throw error_ ? *error_ : Internal("NCCL group: aborted without an error");
  }

  std::vector<ncclComm_t> comms_;
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
    submit(group_->comm(rank_), streams_->communication);
    cuda::check(cudaEventRecord(done_, streams_->communication), "cudaEventRecord");
  }
  void wait() override {
    cuda::check(cudaStreamWaitEvent(streams_->compute, done_, 0), "cudaStreamWaitEvent");
  }

 protected:
  virtual void submit(ncclComm_t comm, cudaStream_t stream) = 0;

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

  void submit(ncclComm_t comm, cudaStream_t stream) override {
    if (num_elements_ == 0) return;
    if (in_tree_) {
      reduce_in_tree(comm, stream);
    } else {
      check(ncclAllReduce(*buffer_, *buffer_, static_cast<size_t>(num_elements_),
                          *data_type(dtype_), library_op(op_), comm, stream),
            "ncclAllReduce");
    }
  }

  void reduce_in_tree(ncclComm_t comm, cudaStream_t stream) {
    void* mine = chunk_of(*buffer_, rank_);
    exchange(comm, stream, [&](int peer) {
      return Transfer{chunk_of(*buffer_, peer), count(peer), chunk_of(others_.get(), peer),
                      count(rank_)};
    });
    tree_sum(dtype_, rank_, ranks(), mine, others_.get(), chunk_, count(rank_),
             op_ == ops::ReduceOp::kMean ? ranks() : 1, stream);
    exchange(comm, stream, [&](int peer) {
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
  void exchange(ncclComm_t comm, cudaStream_t stream, TransferWith&& transfer_with) {
    const ncclDataType_t type = *data_type(dtype_);
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
        sizes_(group_->next_gather(rank)) {
    sizes_.bytes[static_cast<size_t>(rank)].store(static_cast<int64_t>(bytes));
  }

 private:
  size_t bytes_of(size_t rank) {
    const std::atomic<int64_t>& bytes = sizes_.bytes[rank];
    if (!spin_wait([&] { return bytes.load() >= 0; }, kTimeout))
      throw DeadlineExceeded("all_gather: rank {}: rank {} prepared no such gather in 600 s", rank_,
                             rank);
    return static_cast<size_t>(bytes.load());
  }

  void submit(ncclComm_t comm, cudaStream_t stream) override {
    const auto ranks = static_cast<size_t>(group_->size());
    const size_t mine = bytes_of(static_cast<size_t>(rank_));
    for (size_t peer = 0; peer < ranks; ++peer) (void)bytes_of(peer);
    auto* to = static_cast<std::byte*>(*output_);
    check(ncclGroupStart(), "ncclGroupStart");
    for (size_t peer = 0; peer < ranks; to += bytes_of(peer++)) {
      const int number = static_cast<int>(peer);
      if (mine > 0) check(ncclSend(*input_, mine, ncclUint8, number, comm, stream), "ncclSend");
      if (bytes_of(peer) > 0)
        check(ncclRecv(to, bytes_of(peer), ncclUint8, number, comm, stream), "ncclRecv");
    }
    check(ncclGroupEnd(), "ncclGroupEnd");
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

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_nccl_communicators(
    std::span<Device* const> devices) {
  for (const Device* device : devices)
    if (device->type() != DeviceType::kGPU)
      throw InvalidArgument("NCCL: got {}; want GPUs", device->name().to_string());
  const auto group = std::make_shared<Group>(devices);
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (Device* device : devices)
    ranks.push_back(std::make_unique<NcclCommunicator>(group, static_cast<CudaDevice&>(*device),
                                                       static_cast<int>(ranks.size())));
  return ranks;
}

}  // namespace cohort::cuda
