#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/core/device/device_turn.h"
#include "cohort/core/reduce_op.h"
#include "cohort/core/runtime/function.h"
#include "cohort/core/runtime/parameter_group.h"
#include "cohort/core/tensor.h"
#include "cohort/data/dataset.h"
#include "cohort/data/input_pipeline.h"
#include "cohort/distribute/workers.h"

namespace cohort::distribute {

using ops::ReduceOp;

/// One value for each replica of this process, in replica order.
class PerReplica {
 public:
  PerReplica() = default;
  /// `batched`: dimension 0 is the replica's rows of a batch, whose number may change from step to
  /// step.
  explicit PerReplica(std::vector<Tensor> values, bool batched = false);

  int size() const { return static_cast<int>(values_.size()); }
  const Tensor& operator[](int replica) const { return values_[static_cast<size_t>(replica)]; }
  const std::vector<Tensor>& values() const { return values_; }
  bool batched() const { return batched_; }

 private:
  std::vector<Tensor> values_;
  bool batched_ = false;
};

/// An argument of Strategy::run: a value for each replica, or one value for all.
class Argument {
 public:
  Argument(PerReplica value);     // NOLINT: arguments are plain values
  Argument(const Tensor& value);  // NOLINT

  const Tensor& of(int replica) const { return same_ ? value_[0] : value_[replica]; }
  bool same() const { return same_; }
  const PerReplica& value() const { return value_; }

 private:
  PerReplica value_;
  bool same_ = false;
};

/// How one step numbers itself, for randomness and resumption.
struct StepNumber {
  uint64_t seed = 0;
  int64_t step = 0;
  int64_t micro_step = 0;
};

/// What the runs of a step have cost so far.
struct CommunicationCost {
  /// Time in which the first device of this process waited for sums.
  std::chrono::nanoseconds waited{0};
  uint64_t bytes_sent = 0;   ///< over the network, by this process
  uint64_t collectives = 0;  ///< that the first device took part in
};

/// A traced step bound to a strategy's replicas. run() is the hot path: in steady state it
/// allocates nothing, waits for no lock and looks nothing up. Threads may share a runner of one
/// process and run one after the other; of several processes, one thread uses it (Workers::enter).
class StepRunner {
 public:
  virtual ~StepRunner() = default;

  /// The turn of this process' devices. run() takes it, too; hold it around a run and the reading
  /// of its outputs where other threads use the devices.
  virtual DeviceTurn take_turn() = 0;

  /// Splits the rows (dimension 0 of every component) of one global batch over the replicas by
  /// data::rows_of_replicas, and runs the step on all of them; returns when every replica has
  /// finished (GPU: has been enqueued). Components are the trace's placeholders in order. On an
  /// error no variable has changed on any replica, but for ranges of sharded ones when a worker
  /// died while they were given to all. Throws the first replica's error.
  virtual void run(const data::Element& global_batch, const StepNumber& number) = 0;
  /// The same with only a part of the batch's rows: `range` says which; those of this process'
  /// replicas must be among them (Dataset::batch_rows).
  virtual void run(const data::Element& rows, const data::RowRange& range,
                   const StepNumber& number) = 0;
  /// Runs with one element for each replica (distributed values).
  virtual void run(std::span<const data::Element> per_replica, const StepNumber& number) = 0;

  virtual CommunicationCost communication_cost() = 0;
  /// Memory that the runner holds, about.
  virtual size_t num_bytes() = 0;

  /// Output i of the last run on local replica r, copied out.
  virtual Tensor output(int replica, int i) = 0;
  /// Output i of all replicas, concatenated along axis 0 in replica order.
  virtual Tensor gathered_output(int i) = 0;

  /// What the first device of this process holds for the step's parameter groups, where variables
  /// are sharded.
  virtual GroupMemory memory() = 0;
};

class DistributedDataset;  // distribute/distributed_dataset.h, as InputContext
struct InputContext;
class StepCache;

/// Keeps replicas equal while a program trains as if there were one. A cheap handle to shared
/// state. Implementations: default (no scope), OneDeviceStrategy, MirroredStrategy,
/// MultiWorkerMirroredStrategy. Where there are several processes, each holds the values of its own
/// replicas, and make_runner, run, reduce, gather and a runner's run are collective: every process
/// calls them, in the same order, from one thread at a time; FailedPrecondition names two threads
/// that do so at once. Strategies of one process are thread-safe.
class Strategy {
 public:
  /// What an implementation provides.
  class Impl {
   public:
    Impl();
    virtual ~Impl();
    virtual const std::string& name() const = 0;
    virtual int num_replicas_in_sync() const = 0;
    /// The replicas of this process are a block of them.
    virtual int first_replica() const { return 0; }
    virtual int num_local_replicas() const { return num_replicas_in_sync(); }
    /// The processes that carry the replicas.
    virtual Workers& workers() { return alone_; }
    /// Pipelines of a distributed dataset, each for equally many replicas: as many as the job had
    /// processes when it began. Who carries a replica runs its pipeline.
    virtual int num_input_pipelines() const { return 1; }
    /// Canonical names of the devices that carry the replicas.
    virtual std::vector<std::string> devices() const = 0;
    /// The rows of every batch that this process needs.
    data::RowSplit row_split() const {
      return {num_replicas_in_sync(), first_replica(), num_local_replicas()};
    }
    /// What a traced step says of its replicas (core/ops/cross_replica.h), put on this strategy's:
    /// a graph that computes the same, with collectives or nothing in the place of those ops. The
    /// same on every process; `trace` stays as it is. `batch_size`: of full global batches, 0 where
    /// it is not known. Throws what shape rules throw. See distribute/placement/.
    virtual Trace place(const Trace& trace, int64_t batch_size) = 0;
    /// Of a placed trace.
    virtual std::unique_ptr<StepRunner> make_runner(const Trace& placed, int64_t batch_size) = 0;
    /// Runners of the functions given to Strategy::run.
    virtual StepCache& step_cache() = 0;
    /// The commit number: an i64 scalar that every step which counts adds 1 to when it commits.
    const std::shared_ptr<VariableState>& commits() const { return commits_; }

   private:
    Workers alone_;
    const std::shared_ptr<VariableState> commits_;
  };

  explicit Strategy(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  int num_replicas_in_sync() const { return impl_->num_replicas_in_sync(); }
  int num_local_replicas() const { return impl_->num_local_replicas(); }
  /// True in one process of a job: the one whose output and files count.
  bool is_chief() const { return workers().is_chief(); }
  Workers& workers() const { return impl_->workers(); }
  std::vector<std::string> devices() const;
  const std::string& name() const { return impl_->name(); }
  /// How many steps have committed: of fit and train_on_batch, and of run with functions that write
  /// variables. Counted are those that change nothing, too, as where gradients are accumulated; not
  /// those of evaluate and predict, and none that has failed. Part of the state that a step
  /// commits, so it says of every replica, on every process, at which step its state stands. A
  /// model's own is that of the strategy it was made under; what stands outside of every scope is
  /// made anew for each model, with a number of its own.
  int64_t commit_number() const;
  Impl& impl() const { return *impl_; }
  /// Handles of one strategy; what holds outside of every scope is one strategy for each device.
  bool operator==(const Strategy& other) const;

  /// Calls `build` with this strategy current: variables and models made inside belong to it.
  /// Returns what it returns.
  template <class Build>
  auto scope(Build&& build) const;

  /// Runs `step` once on every replica and returns its outputs, one PerReplica for each. The step
  /// is traced once per signature for one symbolic replica, inside this strategy's scope. Throws
  /// InvalidArgument when an argument has not one value for each replica, FailedPrecondition inside
  /// a traced function.
  std::vector<PerReplica> run(const Function& step, const std::vector<Argument>& arguments) const;

  /// Reduces over replicas: elementwise without `axis`; with it, along that axis of each value
  /// first. A mean along an axis is over all elements of all replicas, so an uneven last batch
  /// counts right; a mean of integers is float64. Only outside of traced functions.
  Tensor reduce(ReduceOp op, const PerReplica& value) const;
  Tensor reduce(ReduceOp op, const PerReplica& value, int64_t axis) const;
  /// `op` by name, in any case: "sum", "mean", "max", "min".
  Tensor reduce(const std::string& op, const PerReplica& value) const;
  /// A plain value counts as every replica's.
  Tensor reduce(ReduceOp op, const Tensor& value) const;
  /// The values of all replicas, one after the other along `axis`; other dimensions must be equal.
  Tensor gather(const PerReplica& value, int64_t axis) const;
  /// The values of this process' replicas.
  std::vector<Tensor> local_results(const PerReplica& value) const;
  std::vector<Tensor> local_results(const Tensor& value) const;
  /// One value for each replica, made by `make(replica id)`.
  PerReplica distribute_values_from_function(const std::function<Tensor(int)>& make) const;

  /// Spreads a dataset of global batches over the replicas.
  ///
  /// data/input_pipeline.h says who gets what, by the policy of the dataset's options, in one
  /// process or many; the chief of several prints the plan once. Elements without rows (scalars) go
  /// to the replicas one by one. A job that goes on by `resume_from` shares it as it did when it
  /// began, on any number of processes. Throws InvalidArgument where the replicas do not divide by
  /// the input pipelines, and what data::make_input_pipeline throws.
  DistributedDataset experimental_distribute_dataset(const data::Dataset& dataset) const;
  /// `make` is called once for each input pipeline of which this process carries replicas: for one,
  /// unless the job goes on on another number of processes. Each replica takes one element of its
  /// dataset per step, as it is.
  DistributedDataset distribute_datasets_from_function(
      const std::function<data::Dataset(const InputContext&)>& make) const;

  /// A training or evaluation step: see StepRunner. `batch_size` is the dataset's (0: unknown).
  /// commit_number() counts its commits unless the trace says otherwise.
  std::unique_ptr<StepRunner> make_runner(const Trace& trace, int64_t batch_size = 0) const;

 private:
  std::vector<PerReplica> run_unguarded(const Function& step,
                                        const std::vector<Argument>& arguments) const;

  std::shared_ptr<Impl> impl_;
};

/// A dataset that is already split over a strategy's replicas: what fit, evaluate and predict know
/// of a DistributedDataset. A cheap handle.
class DistributedInput {
 public:
  DistributedInput(const DistributedInput& other);
  DistributedInput(DistributedInput&& other) noexcept;
  DistributedInput& operator=(const DistributedInput& other);
  DistributedInput& operator=(DistributedInput&& other) noexcept;
  ~DistributedInput();

  const Strategy& strategy() const { return strategy_; }
  /// Of what one replica takes at a step.
  data::ElementSpec element_spec() const;
  /// The files that the dataset's sources read, of all pipelines; not known of one made by a
  /// function.
  const std::vector<std::string>& source_files() const { return files_; }
  /// Steps of an epoch, kInfiniteCardinality or kUnknownCardinality.
  int64_t cardinality() const;
  /// Rows that all replicas take at a full step, where the description fixes them; else -1.
  int64_t batch_size() const { return batch_size_; }
  /// A pass, an element for each replica of this process at every step; `options` as for
  /// Dataset::iterate, equal in all processes. Its next() is collective.
  data::StepIterator iterate_steps(const data::IterateOptions& options = {}) const;
  /// Where the pass of all processes stands. Collective.
  data::StepPosition position_of(const data::StepIterator& steps) const;
  /// Continues at a position_of(), for the rest of its epoch and `epochs` - 1 more. Throws
  /// InvalidArgument for one of another number of input pipelines.
  data::StepIterator resume_steps(const data::StepPosition& position, int64_t epochs = 1) const;

 private:
  friend class Strategy;
  /// The pipelines of which this process carries replicas.
  struct Parts {
    int64_t num_pipelines = 1;  ///< of the job
    int64_t replicas_of_each = 1;
    int64_t first = 0;                ///< of all, the number of the first one here
    std::vector<int64_t> owned = {};  ///< here: those whose first replica is here, too
    std::vector<data::PipelinePart> parts = {};
  };
  static Parts parts_of(const Strategy& strategy,
                        const std::function<data::Dataset(int64_t pipeline)>& make);
  DistributedInput(Strategy strategy, Parts parts, std::optional<int64_t> num_steps,
                   int64_t batch_size, std::vector<std::string> files);

  Strategy strategy_;
  Parts parts_;
  data::StepOptions options_;
  int64_t batch_size_;
  std::vector<std::string> files_;
};

/// Makes `strategy` current on this thread while it lives.
class StrategyScope {
 public:
  explicit StrategyScope(const Strategy& strategy);
  ~StrategyScope();
  StrategyScope(const StrategyScope&) = delete;
  StrategyScope& operator=(const StrategyScope&) = delete;
};

/// The innermost scope's strategy, or the default strategy (one replica on the default device).
Strategy current_strategy();
/// Whether this thread is inside a strategy's scope (tf.distribute.has_strategy).
bool has_strategy();

template <class Build>
auto Strategy::scope(Build&& build) const {
  StrategyScope scope(*this);
  return build();
}

}  // namespace cohort::distribute
