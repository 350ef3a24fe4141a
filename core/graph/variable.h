#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "cohort/core/placement.h"
#include "cohort/core/tensor.h"

namespace cohort {

class Device;

/// How copies of a variable on several replicas are kept equal (tf.VariableSynchronization). With
/// kOnRead each replica writes a copy of its own, and they become one when the variable is read
/// outside of a step; otherwise when it is written.
enum class VariableSynchronization { kAuto, kNone, kOnWrite, kOnRead };
/// How per-replica values become one (tf.VariableAggregation).
enum class VariableAggregation { kNone, kSum, kMean, kOnlyFirstReplica };

struct VariableOptions {
  std::string name;  ///< the path under which it is saved: "sequential/dense/kernel"
  bool trainable = true;
  VariableSynchronization synchronization = VariableSynchronization::kAuto;
  VariableAggregation aggregation = VariableAggregation::kNone;
  Placement placement = {};  ///< over the devices of the steps that use it
};

/// What others have written for one device and may still be on its way there. For whoever has the
/// device's turn.
class Arrival {
 public:
  virtual ~Arrival() = default;
  /// Returns when it is there. Throws what keeps it from coming, as often as it is called.
  virtual void settle() = 0;
  /// settle(), and returns when the others have what is on its way from here: it may be written
  /// now. The devices that it goes to settle meanwhile.
  virtual void settle_everywhere() = 0;
};

/// Where one device keeps a variable. Its address is stable: kernels hold `&place.data` and follow
/// the variable when a later compile lays it out again.
struct VariablePlace {
  Device* device = nullptr;
  void* data = nullptr;
  uint64_t version = 0;  ///< grows at every write; derived copies (packed weights) compare it
  std::shared_ptr<void> memory;  ///< keeps data's block alive; shared by the variables of a bucket
  bool current = true;     ///< false: written elsewhere since, by a step that does not run here
  Elements elements = {};  ///< that lie here, of all; the rest of a sharded variable lies elsewhere
  std::shared_ptr<Arrival> arrival = nullptr;  ///< of what is read here; null: all has come

  void settle() const {
    if (arrival) arrival->settle();
  }
};

/// The copies that the replicas of a job of several processes have of its kOnRead variables, and
/// the parts that they have of sharded ones, as one process sees them.
class ReplicaCopies {
 public:
  virtual ~ReplicaCopies() = default;
  /// One on each device of the job.
  virtual int num_copies() const = 0;
  /// Those of this process are a block of them, on these devices in order.
  virtual int first_copy() const = 0;
  virtual const std::vector<Device*>& devices() const = 0;
  /// The copies of all processes, in order, given this one's. Collective: every process gathers
  /// the same variables in the same order.
  virtual std::vector<Tensor> gather(const std::string& variable,
                                     const std::vector<Tensor>& mine) = 0;
};

/// A variable: dtype, shape, and one place on each device that uses it. Handles of the user
/// (nn::Variable) and graphs share it. Before first use on a device only the host value exists.
///
/// A step writes the places on its own devices; before it runs, prepare_for() makes those current
/// and marks others that will fall behind. So steps of several strategies may use one variable in
/// turn. A sharded variable has on each device its part alone, in the order of the devices, and
/// belongs to steps on all of them. Where a variable has become a part of another, as a slot of a
/// parameter group does, its value lies there and steps use that one. What a place holds is read
/// and written by the thread that has its device's turn; the members that are not marked otherwise
/// take it themselves, so a thread that has other devices' turns must not call them.
class VariableState {
 public:
  /// `initial` is called once, on first need, and must return a tensor of this dtype and shape.
  VariableState(DType dtype, Shape shape, std::function<Tensor()> initial, VariableOptions options);
  VariableState(Tensor initial, VariableOptions options);

  const std::string& name() const { return options_.name; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  const VariableOptions& options() const { return options_; }
  bool trainable() const { return options_.trainable; }
  void set_trainable(bool trainable) { options_.trainable = trainable; }
  size_t num_bytes() const { return static_cast<size_t>(shape_.num_elements()) * size_of(dtype_); }
  /// Of what one device holds.
  Shape local_shape() const { return options_.placement.local_shape(shape_); }
  bool is_sharded() const { return options_.placement.is_sharded(); }

  /// A copy of the value. All current places agree, unless each replica writes its own (kOnRead):
  /// then the sum, mean or first of all replicas' copies, as the aggregation says; InvalidArgument
  /// for kNone. Where a step of several processes has used a kOnRead variable, this is collective,
  /// and FailedPrecondition once their strategy is gone. So it is of what is sharded.
  Tensor value() const;
  /// A copy of these elements of the value, flat. Of a sharded variable each device gives what it
  /// has of them. Not for kOnRead.
  Tensor elements(Elements range) const;
  /// Writes these elements, in every place that has them.
  void assign_elements(Elements range, const Tensor& values);
  /// A copy of what `device` holds, or else the value.
  Tensor value(const Device& device) const;
  /// Copies num_bytes() of the value to `to`; without allocating, unless it is kOnRead or sharded.
  void copy_value(void* to) const;
  /// Writes every place; of a kOnRead variable that is summed, a share to each replica's copy, so
  /// that it reads `value` again (of integers the first copies take what does not divide). Every
  /// process of a job assigns the same. Throws InvalidArgument on another dtype or shape.
  void assign(const Tensor& value);
  void assign(const Device& device, const Tensor& value);

  /// From now on this is the elements of `whole` from `offset` on, of its dtype: places here go,
  /// and `whole` has the value, or gets it by this call. Steps that use this variable by itself are
  /// FailedPrecondition.
  void become_part_of(std::shared_ptr<VariableState> whole, int64_t offset);
  /// What it is a part of, and from where on; null for a variable by itself.
  struct Part {
    std::shared_ptr<VariableState> whole;
    int64_t offset = 0;
  };
  Part part() const;

  // For who has the turns of all devices that hold the variable, and of the one named.
  /// The place on `device`, made and filled with the current value on first use.
  VariablePlace& place(Device& device);
  /// Moves the place on `device` to `data` inside `memory`, carrying the value. What is written
  /// there by others comes with `arrival`.
  void relocate(Device& device, void* data, std::shared_ptr<void> memory,
                std::shared_ptr<Arrival> arrival = nullptr);
  /// Makes the places on `devices` current, where the next step uses the variable; where it
  /// `writes` it, others are not from now on. What replicas hold each of their own (kOnRead) is
  /// made one and shared out anew where other devices held it; FailedPrecondition where those of
  /// other processes hold some of it.
  void prepare_for(std::span<Device* const> devices, bool writes);
  const std::vector<std::unique_ptr<VariablePlace>>& places() const { return places_; }

  /// From now on steps of `job`, the name of a strategy of several processes, write the variable
  /// and no others do, as long as it lives. `copies`, where they run, lives as long. What a kOnRead
  /// variable holds here must be assigned anew afterwards, on every process.
  void belong_to(const std::shared_ptr<const std::string>& job,
                 const std::shared_ptr<ReplicaCopies>& copies = nullptr);
  /// Whether steps of `job` (null: of this process alone) may write it, where nobody else could.
  bool may_be_written_by(const std::string* job) const { return !job_id_ || job_id_ == job; }
  /// Throws FailedPrecondition, naming the job it belongs to, when they may not.
  void check_writer(const std::string* job);

  /// The devices that hold the variable, in in_turn_order().
  std::vector<Device*> holders() const;

 private:
  void initialise() const;
  void check(const Tensor& value) const;
  Tensor read_place(const VariablePlace& place) const;
  /// Copies of replicas in a row: all that there are, or one process' of a job.
  struct Block {
    std::vector<VariablePlace*> places;
    size_t first = 0, total = 0;              ///< copies before these, and of all processes
    std::shared_ptr<ReplicaCopies> job = {};  ///< null: no other process has any
  };
  Block block() const;
  std::vector<Tensor> read(const Block& block) const;
  void share_out(const Tensor& value);
  Tensor aggregate(const std::vector<Tensor>& copies) const;
  void check_aggregate(size_t copies) const;
  bool is_of_each_replica() const;
  std::vector<Device*> holders_locked() const;
  VariablePlace* find(const Device& device) const;
  VariablePlace* first_current() const;
  Tensor current_value() const;
  Tensor value_of_replicas() const;
  VariablePlace& place_locked(Device& device);
  void write(VariablePlace& place, const Tensor& value);
  void leave_to_others(VariablePlace& place) const;
  void forget_users() const;
  void prepare_replicas(std::span<Device* const> devices);
  void put_in_order(std::span<Device* const> devices);
  void prepare_parts(std::span<Device* const> devices);
  void exclusively(const std::function<void()>& fn) const;

  DType dtype_;
  Shape shape_;
  VariableOptions options_;
  mutable std::mutex mutex_;  ///< taken after turns, never before
  // Guarded by mutex_; what places hold, by their devices' turns.
  mutable std::function<Tensor()> initial_;
  mutable Tensor host_;  ///< the value while there is no place
  std::vector<std::unique_ptr<VariablePlace>> places_;
  Part part_;  ///< where the value lies, if not here
  std::weak_ptr<const std::string> job_;
  std::weak_ptr<ReplicaCopies> copies_;  ///< of that job
  bool in_copies_ = false;               ///< the places hold what they say together with others'
  std::atomic<const std::string*> job_id_ = nullptr;  ///< job_, while nobody has seen it expire
};

}  // namespace cohort
