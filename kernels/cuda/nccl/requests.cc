#include "cohort/kernels/cuda/nccl/requests.h"

#include <algorithm>

#include "cohort/core/runtime/spin_wait.h"
#include "cohort/kernels/cuda/merge_counts.h"
#include "cohort/kernels/cuda/status.h"
#include "cohort/kernels/cuda/tree_sum.h"

namespace cohort::cuda {

NcclRequest::NcclRequest(std::shared_ptr<Group> group, CudaDevice& device, int rank)
    : group_(std::move(group)), streams_(device.streams()), rank_(rank) {
  DeviceGuard guard(streams_->ordinal);
  ready_ = make_event();
  done_ = make_event();
}

void NcclRequest::start() {
  order(streams_->compute, streams_->communication, ready_);
  submit(streams_->communication);
  check(cudaEventRecord(done_, streams_->communication), "cudaEventRecord");
}

void NcclRequest::wait() {
  check(cudaStreamWaitEvent(streams_->compute, done_, 0), "cudaStreamWaitEvent");
}

NcclAllReduce::NcclAllReduce(std::shared_ptr<Group> group, CudaDevice& device, int rank,
                             void* const* buffer, DType dtype, int64_t num_elements,
                             ops::ReduceOp op)
    : NcclRequest(std::move(group), device, rank),
      buffer_(buffer),
      dtype_(dtype),
      num_elements_(num_elements),
      op_(op) {
  const bool mean = op == ops::ReduceOp::kMean;
  // NCCL's mean divides by ranks.
  in_tree_ = (mean && group_->num_replicas() != ranks()) ||
             ((mean || op == ops::ReduceOp::kSum) && is_floating(dtype) && ranks() > 2);
  if (!in_tree_) return;
  const int64_t line = 64 / static_cast<int64_t>(size_of(dtype));
  chunk_ = ((num_elements + ranks() - 1) / ranks() + line - 1) / line * line;
  others_ = device.allocate(static_cast<size_t>(chunk_ * ranks()) * size_of(dtype));
  const std::vector<uint8_t> merges = merge_counts(ranks(), group_->order());
  merges_ = device.allocate(merges.size());
  device.copy_from_host(merges_.get(), merges.data(), merges.size());
}

int64_t NcclAllReduce::count(int rank) const {
  return std::clamp<int64_t>(num_elements_ - rank * chunk_, 0, chunk_);
}

std::byte* NcclAllReduce::chunk_of(void* base, int rank) const {
  return static_cast<std::byte*>(base) + rank * chunk_ * static_cast<int64_t>(size_of(dtype_));
}

void NcclAllReduce::submit(cudaStream_t stream) {
  if (num_elements_ == 0) return;
  if (in_tree_) {
    reduce_in_tree(stream);
    return;
  }
  group_->submit(rank_, [&](ncclComm_t comm) {
    check(ncclAllReduce(*buffer_, *buffer_, static_cast<size_t>(num_elements_), *data_type(dtype_),
                        library_op(op_), comm, stream),
          "ncclAllReduce");
  });
}

void NcclAllReduce::reduce_in_tree(cudaStream_t stream) {
  void* mine = chunk_of(*buffer_, rank_);
  exchange(stream, [&](int peer) {
    return Transfer{chunk_of(*buffer_, peer), count(peer), chunk_of(others_.get(), peer),
                    count(rank_)};
  });
  tree_sum(dtype_, rank_, ranks(), static_cast<const uint8_t*>(merges_.get()), mine, others_.get(),
           chunk_, count(rank_), op_ == ops::ReduceOp::kMean ? group_->num_replicas() : 1, stream);
  exchange(stream, [&](int peer) {
    return Transfer{mine, count(rank_), chunk_of(*buffer_, peer), count(peer)};
  });
}

template <class TransferWith>
void NcclAllReduce::exchange(cudaStream_t stream, TransferWith&& transfer_with) {
  const ncclDataType_t type = *data_type(dtype_);
  group_->submit(rank_, [&](ncclComm_t comm) {
    CallGroup calls;
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
    calls.end();
  });
}

NcclAllGather::NcclAllGather(std::shared_ptr<Group> group, CudaDevice& device, int rank,
                             void* const* input, size_t bytes, void* const* output)
    : NcclRequest(std::move(group), device, rank),
      input_(input),
      output_(output),
      sizes_(group_->next_gather(rank, bytes)) {}

size_t NcclAllGather::bytes_of(size_t rank) {
  const std::atomic<int64_t>& bytes = sizes_.bytes[rank];
  const auto known = [&] { return bytes.load() >= 0 || group_->is_aborted(); };
  if (!spin_wait(known, Group::kTimeout))
    throw DeadlineExceeded("all_gather: rank {}: rank {} prepared no such gather in 600 s", rank_,
                           rank);
  if (bytes.load() < 0) group_->throw_failure();
  return static_cast<size_t>(bytes.load());
}

void NcclAllGather::submit(cudaStream_t stream) {
  const auto ranks = static_cast<size_t>(group_->size());
  const size_t mine = bytes_of(static_cast<size_t>(rank_));
  for (size_t peer = 0; peer < ranks; ++peer) (void)bytes_of(peer);
  group_->submit(rank_, [&](ncclComm_t comm) {
    auto* to = static_cast<std::byte*>(*output_);
    CallGroup calls;
    for (size_t peer = 0; peer < ranks; to += bytes_of(peer++)) {
      const int number = static_cast<int>(peer);
      if (mine > 0) check(ncclSend(*input_, mine, ncclUint8, number, comm, stream), "ncclSend");
      if (bytes_of(peer) > 0)
        check(ncclRecv(to, bytes_of(peer), ncclUint8, number, comm, stream), "ncclRecv");
    }
    calls.end();
  });
}

}  // namespace cohort::cuda
