#include "cohort/kernels/cuda/nccl/requests.h"

#include <algorithm>

#include "cohort/core/runtime/spin_wait.h"
#include "cohort/kernels/cuda/merge_counts.h"
#include "cohort/kernels/cuda/status.h"
#include "cohort/kernels/cuda/tree_sum.h"

namespace cohort::cuda {
namespace {

class NcclRequest : public Communicator::Request {
 public:
  NcclRequest(std::shared_ptr<Group> group, CudaDevice& device, int rank,
              const CollectiveSpec& spec)
      : group_(std::move(group)),
        streams_(device.streams()),
        rank_(rank),
        dtype_(spec.dtype),
        count_(spec.count),
        buffer_(spec.buffer) {
    DeviceGuard guard(streams_->ordinal);
    ready_ = make_event();
    done_ = make_event();
  }

 protected:
  virtual void submit(cudaStream_t stream) = 0;
  int ranks() const { return group_->size(); }
  size_t bytes() const { return static_cast<size_t>(count_) * size_of(dtype_); }

  /// Between this rank and a peer, in bytes.
  struct Transfer {
    const void* send;
    size_t send_bytes;
    void* receive;
    size_t receive_bytes;
  };
  /// Everything that `transfer_with(peer)` says, at once.
  template <class TransferWith>
  void exchange(cudaStream_t stream, TransferWith&& transfer_with) {
    group_->submit(rank_, [&](ncclComm_t comm) {
      CallGroup calls;
      for (int peer = 0; peer < ranks(); ++peer) {
        const Transfer t = transfer_with(peer);
        if (t.send_bytes > 0) {
          check(ncclSend(t.send, t.send_bytes, ncclUint8, peer, comm, stream), "ncclSend");
          if (peer != rank_) count_payload(t.send_bytes);
        }
        if (t.receive_bytes > 0)
          check(ncclRecv(t.receive, t.receive_bytes, ncclUint8, peer, comm, stream), "ncclRecv");
      }
      calls.end();
    });
  }

  const std::shared_ptr<Group> group_;
  const std::shared_ptr<Streams> streams_;
  const int rank_;
  const DType dtype_;
  const int64_t count_;
  void* const* const buffer_;

 private:
  void do_start() override {
    order(streams_->compute, streams_->communication, ready_);
    submit(streams_->communication);
    check(cudaEventRecord(done_, streams_->communication), "cudaEventRecord");
  }
  void do_wait() override {
    check(cudaStreamWaitEvent(streams_->compute, done_, 0), "cudaStreamWaitEvent");
  }

  Event ready_, done_;
};

/// NCCL's own reductions add in an order of its choice, and their mean divides by ranks. Where that
/// could matter (floating sums of three and more, means), chunk r of every rank goes to rank r,
/// which adds them in the group's order; for an all-reduce the sums then go to everyone: the same
/// bytes as a ring.
class NcclReduction final : public NcclRequest {
 public:
  NcclReduction(std::shared_ptr<Group> group, CudaDevice& device, int rank,
                const CollectiveSpec& spec)
      : NcclRequest(std::move(group), device, rank, spec),
        op_(spec.op),
        scatters_(spec.kind == CollectiveKind::kReduceScatter) {
    const bool mean = op_ == ops::ReduceOp::kMean;
    in_tree_ = mean || (op_ == ops::ReduceOp::kSum && is_floating(dtype_) && ranks() > 2);
    const int64_t line = scatters_ ? 1 : 64 / static_cast<int64_t>(size_of(dtype_));
    chunk_ = ((count_ + ranks() - 1) / ranks() + line - 1) / line * line;
    if (!in_tree_) return;
    others_ = device.allocate(static_cast<size_t>(chunk_ * ranks()) * size_of(dtype_));
    const std::vector<uint8_t> merges = merge_counts(ranks(), group_->order());
    merges_ = device.allocate(merges.size());
    device.copy_from_host(merges_.get(), merges.data(), merges.size());
  }

 private:
  int64_t count(int rank) const { return std::clamp<int64_t>(count_ - rank * chunk_, 0, chunk_); }
  size_t chunk_bytes(int rank) const { return static_cast<size_t>(count(rank)) * size_of(dtype_); }
  std::byte* chunk_of(void* base, int rank) const {
    return static_cast<std::byte*>(base) + rank * chunk_ * static_cast<int64_t>(size_of(dtype_));
  }

  void submit(cudaStream_t stream) override {
    if (count_ == 0) return;
    if (in_tree_) return reduce_in_tree(stream);
    const auto all = static_cast<size_t>(count_);
    const auto n = static_cast<uint64_t>(ranks());
    group_->submit(rank_, [&](ncclComm_t comm) {
      if (scatters_)
        check(ncclReduceScatter(*buffer_, chunk_of(*buffer_, rank_), all / n, *data_type(dtype_),
                                library_op(op_), comm, stream),
              "ncclReduceScatter");
      else
        check(ncclAllReduce(*buffer_, *buffer_, all, *data_type(dtype_), library_op(op_), comm,
                            stream),
              "ncclAllReduce");
    });
    // As in the tree: every other chunk to its owner, and the own one to the others.
    const uint64_t own = chunk_bytes(rank_);
    count_payload(bytes() - own + (scatters_ ? 0 : (n - 1) * own));
  }

  void reduce_in_tree(cudaStream_t stream) {
    const size_t own = chunk_bytes(rank_);
    void* mine = chunk_of(*buffer_, rank_);
    exchange(stream, [&](int peer) {
      if (peer == rank_) return Transfer{};
      return Transfer{chunk_of(*buffer_, peer), chunk_bytes(peer), chunk_of(others_.get(), peer),
                      own};
    });
    tree_sum(dtype_, rank_, ranks(), static_cast<const uint8_t*>(merges_.get()), mine,
             others_.get(), chunk_, count(rank_),
             op_ == ops::ReduceOp::kMean ? group_->num_replicas() : 1, stream);
    if (scatters_) return;
    exchange(stream, [&](int peer) {
      if (peer == rank_) return Transfer{};
      return Transfer{mine, own, chunk_of(*buffer_, peer), chunk_bytes(peer)};
    });
  }

  const ops::ReduceOp op_;
  const bool scatters_;
  bool in_tree_ = false;
  int64_t chunk_ = 0;             // elements
  std::shared_ptr<void> others_;  // chunk rank_ of every rank
  std::shared_ptr<void> merges_;  // tree_sum.h; in device memory
};

class NcclAllGather final : public NcclRequest {
 public:
  NcclAllGather(std::shared_ptr<Group> group, CudaDevice& device, int rank,
                const CollectiveSpec& spec)
      : NcclRequest(std::move(group), device, rank, spec),
        output_(spec.output),
        sizes_(group_->next_gather(rank, bytes())) {}

 private:
  size_t bytes_of(int rank) {
    const std::atomic<int64_t>& known = sizes_->bytes[static_cast<size_t>(rank)];
    const auto is_known = [&] { return known.load() >= 0 || group_->is_aborted(); };
    if (!spin_wait(is_known, Group::kTimeout))
      throw DeadlineExceeded("all_gather: rank {}: rank {} prepared no such gather in 600 s", rank_,
                             rank);
    if (known.load() < 0) group_->throw_failure();
    return static_cast<size_t>(known.load());
  }

  void submit(cudaStream_t stream) override {
    for (int peer = 0; peer < ranks(); ++peer) (void)bytes_of(peer);
    auto* to = static_cast<std::byte*>(*output_);
    exchange(stream, [&](int peer) {
      const Transfer t{*buffer_, bytes(), to, bytes_of(peer)};
      to += t.receive_bytes;
      // A buffer that lies in its place of the result stays there.
      return peer == rank_ && t.receive == t.send ? Transfer{} : t;
    });
  }

  void* const* const output_;
  const std::shared_ptr<GatherSizes> sizes_;
};

class NcclBroadcast final : public NcclRequest {
 public:
  NcclBroadcast(std::shared_ptr<Group> group, CudaDevice& device, int rank,
                const CollectiveSpec& spec)
      : NcclRequest(std::move(group), device, rank, spec), root_(spec.root) {}

 private:
  void submit(cudaStream_t stream) override {
    if (count_ == 0) return;
    group_->submit(rank_, [&](ncclComm_t comm) {
      check(ncclBroadcast(*buffer_, *buffer_, bytes(), ncclUint8, root_, comm, stream),
            "ncclBroadcast");
    });
    if (rank_ == root_) count_payload(static_cast<uint64_t>(ranks() - 1) * bytes());
  }

  const int root_;
};

}  // namespace

std::unique_ptr<Communicator::Request> make_nccl_request(std::shared_ptr<Group> group,
                                                         CudaDevice& device, int rank,
                                                         const CollectiveSpec& spec) {
  switch (spec.kind) {
    case CollectiveKind::kAllReduce:
    case CollectiveKind::kReduceScatter:
      return std::make_unique<NcclReduction>(std::move(group), device, rank, spec);
    case CollectiveKind::kAllGather:
      return std::make_unique<NcclAllGather>(std::move(group), device, rank, spec);
    case CollectiveKind::kBroadcast:
      return std::make_unique<NcclBroadcast>(std::move(group), device, rank, spec);
  }
  throw Internal("NCCL: got collective {}", static_cast<uint32_t>(spec.kind));
}

}  // namespace cohort::cuda
