#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cohort/core/graph/variable.h"
#include "cohort/core/placement.h"
#include "cohort/core/runtime/communicator.h"

namespace cohort {

class Device;

/// Bytes that one device holds for parameter groups, with padding.
struct GroupMemory {
  size_t parameters = 0;
  size_t gradients = 0;
  size_t slots = 0;
};

/// Variables of one dtype that are reduced and updated together: one array of elements, in which
/// each has a segment. Their values lie side by side in it on every device, and so do their slots,
/// of which a device has its range where the group is sharded. Made once, by the lowering of a
/// trace; nodes name it by its number in the trace (attribute "group"). What lies on devices is
/// guarded by their turns.
class ParameterGroup {
 public:
  using Variables = std::vector<std::shared_ptr<VariableState>>;

  /// A variable's elements, in the group's order. Behind them lie `padding` elements that are
  /// nobody's: 0, or what an update makes of 0, and never seen.
  struct Segment {
    std::shared_ptr<VariableState> variable;
    int64_t offset = 0;
    int64_t elements = 0;
    int64_t padding = 0;
  };

  /// Ranges of ranks begin at whole lines. A segment of a line or more begins at one, a smaller one
  /// lies inside of one: so a line of a variable is one rank's.
  static constexpr int64_t kLine = 4096;

  /// Sharded in equal ranges over `axis` of `mesh`. InvalidArgument, naming variable and axis, for
  /// an axis that the mesh lacks and for variables of several dtypes.
  ParameterGroup(const Variables& variables, const Mesh& mesh, const std::string& axis);

  const std::string& name() const { return name_; }
  DType dtype() const { return dtype_; }
  const std::vector<Segment>& segments() const { return segments_; }
  const Placement& placement() const { return placement_; }
  /// Of all ranks, with padding.
  int64_t num_elements() const { return num_elements_; }
  int64_t local_elements() const { return num_elements_ / placement_.mesh().num_ranks(); }
  /// The same variables in the same places.
  bool lies_like(const ParameterGroup& other) const;

  /// The slot of the whole group of which these slots, one of each segment's variable, are parts.
  /// Makes them so at the first call; their values stay. FailedPrecondition, naming the variable,
  /// where one is a part of something else.
  std::shared_ptr<VariableState> slot(const Variables& of_each);
  /// Those that have been made.
  const Variables& slots() const { return slots_; }

  /// One device's memory of all parameters, where they lie from now on. Others' ranges come into it
  /// by publications.
  class Block;
  /// Takes the memory from `communicator`, unless it has. Collective.
  std::shared_ptr<Block> place_on(Device& device, Communicator& communicator);
  /// Whether no parameter has been laid out elsewhere since.
  bool is_in_place() const;
  void put_in_place();

  /// Has all publications come on the devices of this process.
  void settle();

 private:
  void* address(const Block& block, const Segment& segment) const;
  bool is_in_place(const Block& block) const;
  void fill(const std::shared_ptr<Block>& block);

  std::string name_;
  DType dtype_;
  std::vector<Segment> segments_;
  int64_t num_elements_ = 0;
  Placement placement_;
  Variables slots_;
  std::vector<std::shared_ptr<Block>> blocks_;
};

/// Guarded by its device's turn.
class ParameterGroup::Block final : public Arrival {
 public:
  /// What the devices of this process write and read: one may still read what another has left.
  struct Memory {
    std::shared_ptr<void> memory;
    void* parameters = nullptr;
    void* own = nullptr;  ///< this rank's range
  };
  using Memories = std::vector<std::shared_ptr<const Memory>>;

  /// The last of `memories` is this device's.
  Block(Device& device, const Communicator& communicator, std::shared_ptr<Memories> memories)
      : device_(device),
        communicator_(&communicator),
        memories_(std::move(memories)),
        mine_(*memories_->back()) {}
  /// Settles, so that what others have of this rank's is on its way.
  ~Block() override;

  Device& device() const { return device_; }
  bool is_of(const Communicator& communicator) const { return communicator_ == &communicator; }
  const std::shared_ptr<Memories>& memories() const { return memories_; }
  /// Slots, for collectives: of all parameters, and of this rank's range.
  void* const* parameters() const { return &mine_.parameters; }
  void* const* own() const { return &mine_.own; }

  /// Starts a lazy gather of all ranks' ranges.
  void publish(const std::shared_ptr<Communicator::Request>& gather);
  void settle() override {
    if (pending_) finish();
  }
  void settle_everywhere() override;

 private:
  void finish();

  Device& device_;
  const Communicator* const communicator_;
  const std::shared_ptr<Memories> memories_;
  const Memory& mine_;
  std::shared_ptr<Communicator::Request> gather_;  ///< the last one
  bool pending_ = false;                           ///< it has not come
};

}  // namespace cohort
