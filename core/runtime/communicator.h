#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cohort/core/chrono.h"
#include "cohort/core/dtype.h"
#include "cohort/core/error.h"
#include "cohort/core/reduce_op.h"

namespace cohort {

/// The mesh axis of replicas.
inline constexpr std::string_view kDataAxis = "data";

enum class CollectiveKind : uint32_t {
  kAllReduce = 1,  ///< every rank has the reduction of all buffers in its own
  kReduceScatter,  ///< rank r has elements [r * count / n, (r + 1) * count / n) of it, the same
                   ///< bits
  kAllGather,      ///< every rank has all buffers, one after the other
  kBroadcast,      ///< every rank has what the root's buffer holds
};
inline constexpr size_t kNumCollectiveKinds = 4;
/// "all_reduce"
std::string_view collective_name(CollectiveKind kind);

/// One repeated collective, as each rank asks for it: equal on all of them, but for the slots and
/// the `count` of a gather.
struct CollectiveSpec {
  CollectiveKind kind = CollectiveKind::kAllReduce;
  DType dtype = DType::kF32;
  int64_t count = 0;  ///< elements of `buffer`; for a reduce_scatter a multiple of the ranks
  ops::ReduceOp op = ops::ReduceOp::kSum;  ///< of a reduction
  /// A half type in which sums of f32 travel between hosts; within a host they stay exact. None: as
  /// they are. docs/collectives.md has the arithmetic.
  std::optional<DType> wire_dtype = {};
  int root = 0;                       ///< of a broadcast
  std::string_view axis = kDataAxis;  ///< that the group must have been made for
  /// A slot, as in Operand: read when a call starts. Works in place; a reduce_scatter leaves other
  /// elements than this rank's unspecified.
  void* const* buffer = nullptr;
  /// The slot of a gather's result. The result may lie around this rank's buffer.
  void* const* output = nullptr;
  /// Of a gather: when all ranks have started, each waits when it likes, and needs no other for it.
  /// Buffers are from allocate_bucket; one may be written anew after wait_for_others(), or when it
  /// is known otherwise that all ranks have waited.
  bool lazy = false;
  bool timed = false;  ///< its waits count in CommunicatorStats::waited
};

/// What one rank has done so far.
struct CommunicatorStats {
  struct Kind {
    uint64_t calls = 0;
    /// Of the buffers, between hosts: what this rank's host has sent, counted on its first rank.
    /// Within a host: what this rank has read from the memory of others, or written to it. On GPUs:
    /// what it has given to NCCL to send, while the host does so, which is not when a recorded step
    /// is replayed.
    uint64_t payload_bytes = 0;
  };
  std::array<Kind, kNumCollectiveKinds> kinds;
  std::chrono::nanoseconds waited{0};  ///< by those that are timed
  /// Sent between hosts by this rank's host, counted on its first rank: payload, and what hosts
  /// tell each other besides.
  uint64_t network_bytes = 0;
  uint64_t network_frames = 0;

  Kind& operator[](CollectiveKind kind) { return kinds[static_cast<size_t>(kind) - 1]; }
  const Kind& operator[](CollectiveKind kind) const { return kinds[static_cast<size_t>(kind) - 1]; }
};

/// One rank's end of a group of equal partners on a mesh axis. Every rank makes the same calls in
/// the same order. Calls come from the thread that runs the rank's device. Sums are taken in the
/// fixed binary tree over logical replicas; a mean divides by the logical replicas of all ranks.
/// Implementations: in-process and between processes (distribute/), NCCL (kernels/cuda).
class Communicator {
 public:
  class Request;
  virtual ~Communicator();

  virtual int rank() const = 0;
  virtual int size() const = 0;
  std::string_view axis() const { return axis_; }
  /// Memory in which collectives work without copying. kOperandAlignment aligned, zeroed.
  virtual std::shared_ptr<void> allocate_bucket(size_t bytes) = 0;

  /// Prepares a repeated collective, whose memory goes with the request. Collective: every rank
  /// prepares the same ones in the same order, and may drop them at any time when no call of them
  /// is pending. InvalidArgument, at once or from the first wait, where the ranks' specs do not fit
  /// or one says what cannot be.
  std::unique_ptr<Request> prepare(const CollectiveSpec& spec);
  /// The group of those ranks that give the same colour, for `axis`, in the order of their ranks
  /// here. It works beside this one and is aborted with it. Collective. Unimplemented where a
  /// transport cannot.
  std::unique_ptr<Communicator> split(std::string_view axis, int color);

  CommunicatorStats stats() const;
  /// Ends every wait on every rank with `error`; later calls fail with it too. Returns at once: any
  /// thread may call it, whatever it holds.
  virtual void abort(const Error& error) = 0;
  /// After an abort, when no rank is inside a call and no recording of the group is left: makes the
  /// group and its requests usable again. On one rank, for all. False, and nothing changes, for a
  /// group of several processes, whose job ends with its first error.
  virtual bool reset() { return false; }
  /// The latest collectives of this host's ranks, one line each: "rank N", then "call NUMBER
  /// COLLECTIVE CALL STARTED_MS_AGO ENDED_MS_AGO WHAT" (ended -1: not yet). Empty where none are
  /// kept.
  virtual std::string history() const { return {}; }

 private:
  void check(const CollectiveSpec& spec) const;
  /// What `spec` says can be.
  virtual std::unique_ptr<Request> do_prepare(const CollectiveSpec& spec) = 0;
  virtual std::unique_ptr<Communicator> do_split(std::string_view axis, int color) = 0;
  /// Adds what this rank's requests do not count.
  virtual void add_traffic(CommunicatorStats&) const {}

  std::string axis_{kDataAxis};
  const std::shared_ptr<CommunicatorStats> stats_ = std::make_shared<CommunicatorStats>();
};

/// The work of one collective between start and wait; owned by the communicator's caller.
class Communicator::Request {
 public:
  virtual ~Request() = default;
  /// Says that this rank's data is ready; returns at once. Throws what the group was aborted with.
  void start() {
    ++counted_->calls;
    do_start();
  }
  /// Returns when the result lies in its place (CUDA: ordered on the compute stream).
  /// Throws DeadlineExceeded naming the silent ranks, Unavailable when a rank is gone or aborted,
  /// and what a rank aborted with.
  void wait() {
    if (timed_) return wait_timed();
    do_wait();
  }
  /// Of a lazy gather, after wait(): returns when all ranks have waited. Throws as wait().
  virtual void wait_for_others() {}
  /// Spent in waits, where the spec says `timed`.
  std::chrono::nanoseconds waited() const { return waited_; }

 protected:
  /// Adds to CommunicatorStats::Kind::payload_bytes. For the rank's thread.
  void count_payload(uint64_t bytes) { counted_->payload_bytes += bytes; }

 private:
  friend class Communicator;
  virtual void do_start() = 0;
  virtual void do_wait() = 0;
  void wait_timed();

  std::shared_ptr<CommunicatorStats> stats_;
  CommunicatorStats::Kind* counted_ = nullptr;  ///< in stats_
  bool timed_ = false;
  std::chrono::nanoseconds waited_{0};
};

}  // namespace cohort
