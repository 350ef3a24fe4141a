#pragma once

#include <functional>
#include <vector>

#include "data/dataset.h"
#include "distribute/strategy.h"

namespace cohort::distribute {

/// The components of one global batch, each split over the replicas of this process.
using DistributedElement = std::vector<PerReplica>;

/// What a dataset function is told (tf.distribute.InputContext).
struct InputContext {
  int num_input_pipelines = 1;
  int input_pipeline_id = 0;
  int num_replicas_in_sync = 1;
  /// Throws InvalidArgument when `global_batch_size` does not divide by the replicas.
  int64_t get_per_replica_batch_size(int64_t global_batch_size) const;
};

/// A dataset whose elements are spread over a strategy's replicas. Handles share the description.
class DistributedDataset {
 public:
  class Iterator {
   public:
    /// The next step's values; null at the end of an epoch. While any replica has rows, the others
    /// get tensors of 0 rows. Valid until the next call.
    const DistributedElement* next();

   private:
    friend class DistributedDataset;
    Iterator(const DistributedDataset& owner, data::Iterator source);
    const DistributedElement* split(const data::Element& batch);
    const DistributedElement* take_one_each();

    Strategy strategy_;
    bool splits_;
    int64_t batch_size_;
    data::ElementSpec spec_;
    data::Iterator source_;
    DistributedElement current_;
  };

  /// Starts a pass; `options` as for Dataset::iterate.
  Iterator iterate(data::IterateOptions options = {}) const;

 private:
  friend DistributedDataset distribute_dataset(const Strategy&, const data::Dataset&);
  friend DistributedDataset distribute_datasets_from_function(
      const Strategy&, const std::function<data::Dataset(const InputContext&)>&);
  DistributedDataset(Strategy strategy, data::Dataset dataset, bool splits)
      : strategy_(std::move(strategy)), dataset_(std::move(dataset)), splits_(splits) {}

  Strategy strategy_;
  data::Dataset dataset_;
  bool splits_;  ///< each element is a global batch to be split; otherwise each replica takes an
                 ///< element of its own
};

/// Splits every global batch over the replicas: of G rows, with N replicas, the first G mod N get
/// one row more; a shorter last batch fills them in order. Where the dataset's batch size is not
/// known, each gets ceil(rows / N). InvalidArgument for elements without rows.
DistributedDataset distribute_dataset(const Strategy& strategy, const data::Dataset& dataset);

/// `make` is called once for this process; each replica takes one element of the dataset per step,
/// as it is.
DistributedDataset distribute_datasets_from_function(
    const Strategy& strategy, const std::function<data::Dataset(const InputContext&)>& make);

}  // namespace cohort::distribute
