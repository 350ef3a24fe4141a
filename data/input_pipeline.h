#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/data/auto_shard.h"

/// One dataset of global batches as the workers of a cluster iterate it: at every step each worker
/// takes one element for each of its replicas (tf.distribute's experimental_distribute_dataset).
namespace cohort::data {

/// A worker among `num_workers`, each with `replicas_per_worker` replicas. How many there are is
/// fixed when a job begins: a process that carries replicas of several runs the pipelines of all.
struct InputWorker {
  int64_t num_workers = 1;
  int64_t index = 0;
  int64_t replicas_per_worker = 1;
};

struct InputPipeline {
  Dataset dataset;  ///< this worker's: one element for each replica and step, in replica order
  ShardingPlan plan;
  /// Steps of an epoch, on every worker, where the description says.
  std::optional<int64_t> num_steps;
};

/// Shares `dataset` between the workers by the policy of its options, and cuts its batches for the
/// N = W R replicas:
///   By data, or where the batch size is not known from the description: every batch of B rows in N
///     parts of ceil(B / N), the last ones short or empty. By data, part j goes to worker j mod W:
///     at step s, replica r of worker w has part s N + r W + w.
///   Otherwise: the worker's own stream of rows, to the sizes of batch_sizes_for_worker.
/// One worker cuts as several do, by the policy that they would have. Elements without rows
/// (scalars) are not cut, nor is anything for one replica alone. Throws what auto_shard throws.
InputPipeline make_input_pipeline(const Dataset& dataset, const InputWorker& worker);

/// True on every worker when `local` is true on any of them. Every worker calls it as often, in the
/// same order.
using AnyWorker = std::function<bool(bool local)>;

/// Where one worker's data stand.
struct PipelinePosition {
  Position source;
  bool ended = false;  ///< before the others'; `source` is an epoch on
  bool operator==(const PipelinePosition&) const = default;
};

/// Where a StepIterator stands, as a Position is for an Iterator.
struct StepPosition {
  int64_t step = 0;  ///< steps of this epoch that were handed out
  std::vector<PipelinePosition> pipelines;

  /// "CDS2", step and the number of pipelines in 8 bytes each, little-endian; for each pipeline a
  /// byte, 1: ended, and the 40 of `source`.
  std::string to_bytes() const;
  /// Throws DataLoss when `bytes` is not what to_bytes made.
  static StepPosition from_bytes(std::string_view bytes);
  bool operator==(const StepPosition&) const = default;
};

/// What a process runs of one worker's pipeline: all of it, and it takes what is for some replicas.
struct PipelinePart {
  Dataset dataset;
  int64_t first_replica = 0;  ///< of the worker's
  int64_t num_replicas = 1;
};

struct StepOptions {
  int64_t replicas_per_worker = 1;
  /// Asked at every step, once for batches and twice for scalars, unless num_steps is given.
  /// Absent: there is one worker. What gives back what it is asked: this process runs all.
  AnyWorker any_worker = {};
  std::optional<int64_t> num_steps = {};  ///< InputPipeline's
};

/// Steps of an epoch of StepIterator(dataset, options): a number, equal on every worker, where the
/// description says; kInfiniteCardinality or kUnknownCardinality.
int64_t count_steps(const Dataset& dataset, const StepOptions& options);

/// A process' pass over its parts: a step at a time, together with the other processes.
///
/// While any replica of the cluster has an element, those that have none get one of 0 rows; all
/// workers end an epoch at the same step. A sole worker whose elements have one static shape
/// (drop_remainder) makes no empty ones: its epoch ends before the first step at which a replica
/// has none. One thread at a time.
class StepIterator {
 public:
  /// `parts`: one or more, of consecutive workers.
  StepIterator(const std::vector<PipelinePart>& parts, StepOptions options,
               const IterateOptions& iterate = {});
  /// Continues where `position` was taken on equal parts, for the rest of its epoch and `epochs` -
  /// 1 more. Throws InvalidArgument for a position of another number of pipelines.
  StepIterator(const std::vector<PipelinePart>& parts, StepOptions options,
               const StepPosition& position, int64_t epochs = 1);
  /// The same with one worker's pipeline, for all of its replicas.
  StepIterator(const Dataset& dataset, const StepOptions& options,
               const IterateOptions& iterate = {});
  StepIterator(const Dataset& dataset, const StepOptions& options, const StepPosition& position,
               int64_t epochs = 1);

  /// One element for each replica of the parts; nullptr at the end of an epoch. Valid until the
  /// next call. Throws what the source throws, on this process only. Scalars that do not divide by
  /// the replicas are a FailedPrecondition, on all processes.
  const std::vector<Element>* next();

  /// Behind the last step handed out, for the parts.
  StepPosition position() const;

 private:
  /// A part's pass.
  struct Pipeline {
    PipelinePart part;
    Iterator source;
    bool ended;
    size_t first_element;         ///< of elements_
    int64_t num_taken = 0;        ///< at this step, for all of the worker's replicas
    std::vector<Element> others;  ///< of replicas that other processes carry
  };

  StepIterator(const std::vector<PipelinePart>& parts, StepOptions options, int64_t epochs);
  void add(const PipelinePart& part, Iterator source, bool ended);
  Element& element_of(Pipeline& pipeline, int64_t replica);
  void take(Pipeline& pipeline);
  bool all_go_on() const;
  void fill_empty(Pipeline& pipeline);
  void end_epoch();

  ElementSpec spec_;
  StepOptions options_;
  bool has_rows_;
  bool stays_static_;  ///< makes no empty elements
  std::vector<Pipeline> pipelines_;
  int64_t epochs_left_;
  int64_t step_ = 0;
  std::vector<Element> elements_;
};

}  // namespace cohort::data
