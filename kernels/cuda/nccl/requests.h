#pragma once

#include "cohort/core/runtime/communicator.h"
#include "cohort/kernels/cuda/device.h"
#include "cohort/kernels/cuda/nccl/group.h"

namespace cohort::cuda {

/// start(): the communication stream takes over when the compute stream has come this far. wait():
/// the compute stream goes on when the communication stream has got through. Both are recordable.
class NcclRequest : public Communicator::Request {
 public:
  NcclRequest(std::shared_ptr<Group> group, CudaDevice& device, int rank);
  void start() override;
  void wait() override;

 protected:
  virtual void submit(cudaStream_t stream) = 0;
  int ranks() const { return group_->size(); }

  std::shared_ptr<Group> group_;
  std::shared_ptr<Streams> streams_;
  const int rank_;

 private:
  Event ready_, done_;
};

/// NCCL's own all-reduce adds in an order of its choice. Where that could matter (floating sums of
/// three and more), chunk r of every rank goes to rank r, which adds them in the group's order, and
/// the sums go to everyone: the same bytes as a ring.
class NcclAllReduce final : public NcclRequest {
 public:
  NcclAllReduce(std::shared_ptr<Group> group, CudaDevice& device, int rank, void* const* buffer,
                DType dtype, int64_t num_elements, ops::ReduceOp op);

 private:
  struct Transfer {
    const void* send;
    int64_t send_count;
    void* receive;
    int64_t receive_count;
  };

  void submit(cudaStream_t stream) override;
  void reduce_in_tree(cudaStream_t stream);
  template <class TransferWith>
  void exchange(cudaStream_t stream, TransferWith&& transfer_with);
  int64_t count(int rank) const;
  std::byte* chunk_of(void* base, int rank) const;

  void* const* buffer_;
  const DType dtype_;
  const int64_t num_elements_;
  const ops::ReduceOp op_;
  bool in_tree_ = false;
  int64_t chunk_ = 0;             // elements
  std::shared_ptr<void> others_;  // chunk rank_ of every rank
  std::shared_ptr<void> merges_;  // tree_sum.h; in device memory
};

class NcclAllGather final : public NcclRequest {
 public:
  NcclAllGather(std::shared_ptr<Group> group, CudaDevice& device, int rank, void* const* input,
                size_t bytes, void* const* output);

 private:
  void submit(cudaStream_t stream) override;
  size_t bytes_of(size_t rank);

  void* const* input_;
  void* const* output_;
  GatherSizes& sizes_;
};

}  // namespace cohort::cuda
