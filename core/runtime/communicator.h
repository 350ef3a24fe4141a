#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include "cohort/core/dtype.h"
#include "cohort/core/error.h"
#include "cohort/core/reduce_op.h"

namespace cohort {

/// One rank's end of a group of equal partners on a mesh axis. Every rank makes the same calls in
/// the same order with equal sizes. Calls come from the thread that runs the rank's device.
/// Implementations: in-process and between processes (distribute/), NCCL (kernels/cuda).
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Memory in which start_all_reduce works without copying. kOperandAlignment aligned, zeroed.
  virtual std::shared_ptr<void> allocate_bucket(size_t bytes) = 0;

  /// The work of one collective between start and wait; owned by the communicator's caller.
  class Request {
   public:
    virtual ~Request() = default;
    /// Says that this rank's data is ready; returns at once.
    virtual void start() = 0;
    /// Returns when the result lies in the buffer (CUDA: ordered on the compute stream).
    /// Throws DeadlineExceeded naming the silent ranks, Unavailable when a rank is gone or aborted,
    /// and what a rank aborted with.
    virtual void wait() = 0;
  };

  /// Prepares the repeated elementwise reduction of `buffer` (num_elements of dtype) over all
  /// ranks, in place, summed in the fixed binary tree over ranks. A mean divides the sum by the
  /// logical replicas of all ranks. `buffer` is a slot, as in Operand. Collective: every rank
  /// prepares the same requests in the same order.
  virtual std::unique_ptr<Request> prepare_all_reduce(void* const* buffer, DType dtype,
                                                      int64_t num_elements, ops::ReduceOp op) = 0;
  /// Whether prepare_gradient_sum may round what it sums. The same on every rank.
  virtual bool rounds_gradients() const { return false; }
  /// The sum of `num_elements` f32 gradients, as prepare_all_reduce; a group whose options say so
  /// rounds it to a half type for the way between hosts.
  virtual std::unique_ptr<Request> prepare_gradient_sum(void* const* buffer, int64_t num_elements) {
    return prepare_all_reduce(buffer, DType::kF32, num_elements, ops::ReduceOp::kSum);
  }
  /// Copies `bytes` of every rank, in rank order, to `output` (which may differ in size between
  /// ranks: `bytes` is this rank's).
  virtual std::unique_ptr<Request> prepare_all_gather(void* const* input, size_t bytes,
                                                      void* const* output) = 0;
  /// Ends every wait on every rank with `error`; later calls fail with it too. Returns at once: any
  /// thread may call it, whatever it holds.
  virtual void abort(const Error& error) = 0;
  /// After an abort, when no rank is inside a call and no recording of the group is left: makes the
  /// group and its requests usable again. On one rank, for all. False, and nothing changes, for a
  /// group of several processes, whose job ends with its first error.
  virtual bool reset() { return false; }
};

}  // namespace cohort
