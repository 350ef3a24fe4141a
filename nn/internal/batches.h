#pragma once

#include <memory>
#include <variant>

#include "cohort/distribute/strategy.h"
#include "cohort/nn/internal/trainer.h"
#include "cohort/nn/model_impl.h"

namespace cohort::nn::internal {

/// What fit, evaluate and predict run over: a dataset of global batches, of which each process
/// takes the rows of its replicas, or one that is split already.
class Input {
 public:
  Input(data::Dataset dataset) : source_(std::move(dataset)) {}                 // NOLINT
  Input(distribute::DistributedInput dataset) : source_(std::move(dataset)) {}  // NOLINT

  data::ElementSpec element_spec() const;
  /// Batches of an epoch, or data::kInfiniteCardinality, data::kUnknownCardinality.
  int64_t cardinality() const;
  /// Rows of a full global batch; -1: not known.
  int64_t batch_size() const;
  /// "NAME SIZE" of each file that the dataset is read from, where it is described; "NAME ?" of one
  /// that is not there.
  std::vector<std::string> files() const;
  /// Throws InvalidArgument, naming `what` runs, unless it is of the model's strategy.
  void check_belongs_to(const ModelImpl& model, std::string_view what) const;

 private:
  friend class Batches;
  /// Null where it is one of global batches. Collective, as the next: the processes compare.
  const distribute::DistributedInput* split(const distribute::Strategy& strategy) const;
  /// The rows of this process, of global batches.
  data::Dataset rows_for(const distribute::Strategy& strategy) const;
  std::variant<data::Dataset, distribute::DistributedInput> source_;
};

/// How a step's components lie in the elements of `input`. Throws InvalidArgument where there are
/// fewer than the inputs.
ElementLayout layout_of(const ModelImpl& model, const Input& input, int num_inputs);

/// A pass over an input: the batches of one epoch after the other, as this process has them.
class Batches {
 public:
  /// Of each element, the first `num_components` are for the step. Where there are several
  /// processes, all have inputs of one kind and, as far as they know, of one length;
  /// FailedPrecondition otherwise.
  static std::unique_ptr<Batches> iterate(const Input& input, const distribute::Strategy& strategy,
                                          size_t num_components,
                                          const data::IterateOptions& options);
  /// Continues where position() was taken, for the rest of its epoch and `epochs` - 1 more. Throws
  /// InvalidArgument where it is one of another input, or of another number of input pipelines.
  static std::unique_ptr<Batches> resume(const Input& input, const distribute::Strategy& strategy,
                                         size_t num_components, const std::string& position,
                                         int64_t epochs);
  virtual ~Batches() = default;

  /// Goes to the next batch; false at the end of an epoch.
  virtual bool next() = 0;
  /// Runs a step on the batch.
  virtual void run(distribute::StepRunner& step, const distribute::StepNumber& number) = 0;
  /// Rows of the batch that are in this process.
  virtual int64_t rows() const = 0;
  /// Behind the last batch, for all processes. Collective.
  virtual std::string position() const = 0;
};

}  // namespace cohort::nn::internal
