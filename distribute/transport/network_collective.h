#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cohort/distribute/transport/frame.h"

namespace cohort::distribute {

/// One collective of the group as this node's progress thread sees it.
class NetworkCollective {
 public:
  virtual ~NetworkCollective() = default;

  /// Looks at what the ranks of this host have done since, and does what follows.
  virtual void advance() = 0;
  /// Where the payload of this frame goes, null where it must wait until advance() has done more.
  /// The frame has been checked for size alone. Throws DataLoss for one that has no place.
  virtual char* place_of(int node, const FrameHeader& frame) = 0;
  /// The payload is there.
  virtual void received(int node, const FrameHeader& frame) = 0;
  /// One of its frames has left; its memory is free again.
  virtual void sent() = 0;
  /// The call that a rank of this host has started and that has not ended; 0 when there is none.
  virtual uint32_t pending_call() const = 0;
  /// Throws Unavailable when somebody whom the pending call needs has gone.
  virtual void check_alive() const = 0;
  /// The call that comes after those that have ended.
  virtual uint32_t next_call() const = 0;
  /// How many have entered it, as far as is known here: ranks of this host, and other nodes, of
  /// which something has come.
  virtual int num_entered() const = 0;
  /// The ranks of this host that have not.
  virtual std::vector<int> missing_ranks() const = 0;
  /// Whether a rank of this host has not entered it; outlives the collective, for any thread.
  virtual std::function<bool()> misses(int host_rank) const = 0;
  /// Whom it waits for, and whether they have shown no sign of the call (rather than waiting
  /// themselves for others).
  struct Silence {
    std::string who;
    bool first_hand = true;
  };
  virtual Silence silence() const = 0;
  /// "all_reduce #4 of 1000 float32"
  virtual const std::string& name() const = 0;
};

}  // namespace cohort::distribute
