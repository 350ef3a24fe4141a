#pragma once

#include <string>
#include <vector>

#include "cohort/data/input_pipeline.h"
#include "cohort/distribute/strategy.h"

namespace cohort::distribute {

/// The components of one step's input, a value for each replica of this process.
using DistributedElement = std::vector<PerReplica>;

/// What a dataset function is told (tf.distribute.InputContext).
struct InputContext {
  int num_input_pipelines = 1;
  int input_pipeline_id = 0;
  int num_replicas_in_sync = 1;
  /// Throws InvalidArgument when `global_batch_size` does not divide by the replicas.
  int64_t get_per_replica_batch_size(int64_t global_batch_size) const;
};

/// A dataset whose elements are spread over a strategy's replicas, for loops of one's own and for
/// Model::fit; made by the strategy. Handles share the description. Where the strategy has several
/// processes, each makes the same one and iterates it in step with the others: the iterator's
/// next() is collective then.
class DistributedDataset : public DistributedInput {
 public:
  class Iterator {
   public:
    /// The next step's values; null at the end of an epoch, on all processes at the same step.
    /// While any replica of any process has rows, the others get tensors of 0 rows. Valid until the
    /// next call.
    const DistributedElement* next();
    /// Behind the last step handed out, of all processes, each of which calls it.
    /// DistributedDataset::resume continues there.
    data::StepPosition position() const;

   private:
    friend class DistributedDataset;
    Iterator(const DistributedInput& input, data::StepIterator steps);
    const DistributedElement* take_next();
    void collect(const std::vector<data::Element>& elements);

    DistributedInput input_;
    Strategy strategy_;
    data::StepIterator steps_;
    DistributedElement current_;
  };

  /// Starts a pass; `options` as for Dataset::iterate, equal in all processes.
  Iterator iterate(data::IterateOptions options = {}) const;
  /// Continues where `position` was taken on an equal dataset, by any number of processes with as
  /// many input pipelines, for the rest of its epoch and `epochs` - 1 more.
  Iterator resume(const data::StepPosition& position, int64_t epochs = 1) const;

  /// How the processes share the dataset, in words.
  const std::string& plan() const { return plan_; }

 private:
  friend class Strategy;
  DistributedDataset(DistributedInput input, std::string plan);

  std::string plan_;
};

}  // namespace cohort::distribute
