#pragma once

#include <list>
#include <memory>
#include <vector>

#include "cohort/core/runtime/communicator.h"
#include "cohort/core/tensor.h"

namespace cohort::distribute {

/// Some rows of a table: values[i] belongs to row indices[i]. Rows may repeat.
struct Slices {
  Tensor indices;  ///< int64 [K]
  Tensor values;   ///< [K, …]
};

/// Collectives on tensors, now and then, on top of a communicator's repeated ones. Every rank makes
/// the same calls, and waits for them, in the same order, from one thread. Tensors must be
/// row-major; means want floating ones. What a rank gives wrong in shape or dtype is
/// InvalidArgument on every rank; other errors are those of Communicator::Request::wait.
class Collectives {
  struct Prepared;

 public:
  /// `communicator` outlives this. Remembers what the latest calls prepared.
  explicit Collectives(Communicator& communicator);
  ~Collectives();

  /// A call that has started. Calls may overlap; they end in the order in which they started.
  class Pending {
   public:
    Pending(Pending&&) = default;
    Pending& operator=(Pending&&) = delete;
    /// Waits, if nobody did, and drops an error: the group has failed then, and later calls say so.
    ~Pending();
    /// Returns when the result is there. Throws what the collective failed with.
    void wait();

   private:
    friend class Collectives;
    Pending(std::shared_ptr<Prepared> prepared, Tensor kept);
    std::shared_ptr<Prepared> prepared_;  ///< null when waited for
    Tensor kept_;                         ///< keeps the memory
  };

  /// Replaces `values` with the reduction over all ranks. A mean divides by the logical replicas.
  Pending all_reduce(Tensor values, ops::ReduceOp op);
  /// Replaces `values` with those of rank `root`.
  Pending broadcast(Tensor values, int root);

  /// Everybody's `mine` one after the other on `axis`; the other dimensions and dtype are equal.
  Tensor all_gather(const Tensor& mine, int axis = 0);
  /// Rank r's part, of `size` equal ones on axis 0, of the reduction over all ranks.
  Tensor reduce_scatter(const Tensor& values, ops::ReduceOp op);
  /// Part i on axis 0, of `size` equal ones, goes to rank i; here come those for this rank, in rank
  /// order.
  Tensor all_to_all(const Tensor& values);
  /// Returns when all ranks have called it.
  void barrier();

  /// Everybody's rows, in rank order; repeated rows are not added. A mean divides the values by the
  /// number of ranks. `op`: sum or mean.
  Slices all_gather(const Slices& mine, ops::ReduceOp op);
  /// The reduction over all ranks of a table [num_rows, …] of which each gives some rows: gathered
  /// rows, or the whole table (indices 0 … num_rows - 1) where its bytes on the wire are fewer.
  Slices all_reduce(const Slices& mine, int64_t num_rows, ops::ReduceOp op);

 private:
  enum class Kind { kAllReduce, kAllGather };
  struct Key {
    Kind kind;
    DType dtype;
    ops::ReduceOp op;
    int64_t count;                ///< elements
    std::vector<uint64_t> bytes;  ///< of each rank, for a gather
    bool operator==(const Key&) const = default;
  };

  std::shared_ptr<Prepared> prepare(const Key& key, const void* input, void* output);
  std::shared_ptr<Prepared> start(const Key& key, const void* input, void* output);
  std::vector<Shape> shapes_of_all(const Tensor& mine, const char* what, int axis);
  Pending gather(const void* mine, std::vector<uint64_t> bytes, void* all);
  int rank() const { return communicator_.rank(); }
  int size() const { return communicator_.size(); }

  Communicator& communicator_;
  std::list<std::shared_ptr<Prepared>> prepared_;  ///< latest used first
};

}  // namespace cohort::distribute
