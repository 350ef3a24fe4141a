#pragma once

#include <memory>
#include <vector>

#include "cohort/core/runtime/communicator.h"
#include "cohort/distribute/transport/host_group.h"

namespace cohort::distribute {

/// What one rank keeps between its collectives in shared memory.
struct SharedRank {
  std::shared_ptr<HostGroup> group;
  int rank = 0;
  std::vector<int> block_sizes;
  size_t meetings = 0;  ///< prepared so far
  uint64_t rounds = 0;  ///< window rounds so far, the same number on all ranks between collectives
};

/// Elements [begin, end).
struct ElementRange {
  int64_t begin, end;
  int64_t count() const { return end - begin; }
};

/// Where the ranks of a host have the buffers of a collective, all of which are from
/// allocate_bucket.
class PeerBuffers {
 public:
  explicit PeerBuffers(int size)
      : seen_(static_cast<size_t>(size), kPrivate), mappings_(seen_.size()), all_(seen_.size()) {}

  /// Tells the others where this rank's `buffer` is; before its `ready` is signalled.
  void tell(const HostGroup& group, RankLines& mine, void* buffer, size_t bytes);
  /// Maps what the others have told, when all are ready. FailedPrecondition for private memory.
  void find(const HostGroup& group, const RankLines* lines, int rank, void* buffer);
  /// By rank, as this process maps them.
  std::vector<char*>& all() { return all_; }
  const std::vector<char*>& all() const { return all_; }

 private:
  std::vector<uint64_t> seen_;  ///< location of each rank's buffer
  std::vector<std::shared_ptr<char>> mappings_;
  std::vector<char*> all_;
  const void* last_ = nullptr;  ///< told
};

/// One prepared collective of one rank: its lines in the meeting, and the agreement of all ranks on
/// what it is, which is checked at the first wait.
class SharedCollective : public Communicator::Request {
 public:
  SharedCollective(std::shared_ptr<SharedRank> self, const CollectiveSpec& spec);
  ~SharedCollective() override;

 protected:
  /// Moves the data of this call; all ranks have agreed.
  virtual void exchange() = 0;
  /// Counts the call; first in do_start().
  void begin_call() {
    group().expect_whole();
    ++call_;
    record_ =
        &group().flight(rank()).begin(static_cast<uint32_t>(caller_.meeting), call_, description_);
  }
  /// Once, when all ranks have prepared this collective.
  virtual void agree() {}

  HostGroup& group() const { return *self_->group; }
  int size() const { return group().size(); }
  int rank() const { return self_->rank; }
  RankLines& lines(int rank) const { return reinterpret_cast<RankLines*>(memory_.get())[rank]; }
  RankLines& mine() const { return lines(rank()); }
  char* slot(int rank) const {
    return memory_.get() + group().layout().slot(static_cast<size_t>(rank), call_);
  }
  const Description& description_of(int rank) const { return lines(rank).description; }
  bool small() const { return bytes_ <= kSmallBytes; }
  void wait_for_all(std::atomic<uint32_t> RankLines::*counter) const;
  void wait_for_all_tiny() const;
  void wait_for_all_rounds(std::atomic<uint32_t> WindowLines::*counter, uint64_t rounds) const;

  const std::shared_ptr<SharedRank> self_;
  void* const* const buffer_;
  const size_t bytes_;  ///< of `buffer`
  uint32_t call_ = 0;

 private:
  void do_wait() final;
  void compare(int peer) const;

  const Description description_;
  const Caller caller_;
  const std::shared_ptr<char> memory_;
  FlightRecord* record_ = nullptr;
  bool agreed_ = false;
};

/// A request of rank `self`. By kind, and by the size of a call:
///   * all_reduce of at most kTinyBytes: payload and call number travel on one line per rank;
///   * reductions of more, all buffers from allocate_bucket: each rank adds its share of the
///     elements over all buffers and writes the sums into all of them, or into its own, between two
///     barriers;
///   * reductions of private buffers of at most kSmallBytes: do_start() copies into a shared slot,
///     do_wait() adds everybody's slots;
///   * of larger ones: as in buckets, but in rounds through shared windows: a round is copied in
///     while the one before is added and the one before that is copied out.
std::unique_ptr<SharedCollective> make_shared_reduction(const std::shared_ptr<SharedRank>& self,
                                                        const CollectiveSpec& spec);
/// A gather or a broadcast: through slots; of more than kSmallBytes, where all buffers are from
/// allocate_bucket, each rank copies from them; else in rounds through windows.
std::unique_ptr<SharedCollective> make_shared_copy(const std::shared_ptr<SharedRank>& self,
                                                   const CollectiveSpec& spec);

}  // namespace cohort::distribute
