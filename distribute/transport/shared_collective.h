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
  uint64_t rounds = 0;  ///< window rounds so far, the same number on all ranks between collectives
};

/// One prepared collective of one rank: its lines in the meeting, and the agreement of all ranks on
/// what it is, which is checked at the first wait.
class SharedCollective : public Communicator::Request {
 public:
  SharedCollective(std::shared_ptr<SharedRank> self, size_t meeting, const Caller& caller,
                   const Description& description, void* const* buffer, size_t bytes);

  void wait() final;

 protected:
  /// Moves the data of this call; all ranks have agreed.
  virtual void exchange() = 0;
  /// Counts the call; first in start().
  void begin_call() {
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
  bool small() const { return bytes_ <= kSmallBytes; }
  void wait_for_all(std::atomic<uint32_t> RankLines::*counter) const;
  void wait_for_all_tiny() const;
  void wait_for_all_rounds(std::atomic<uint32_t> WindowLines::*counter, uint64_t rounds) const;

  const std::shared_ptr<SharedRank> self_;
  void* const* const buffer_;
  const size_t bytes_;  ///< of `buffer`
  uint32_t call_ = 0;

 private:
  void compare(int peer) const;

  const Caller caller_;
  const Description description_;
  const std::shared_ptr<char> memory_;
  FlightRecord* record_ = nullptr;
  bool agreed_ = false;
};

}  // namespace cohort::distribute
