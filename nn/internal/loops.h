#pragma once

#include <optional>
#include <vector>

#include "nn/internal/trainer.h"
#include "nn/model_impl.h"

/// The loops of fit, evaluate and predict over a dataset of batches.
namespace cohort::nn::internal {

/// A dataset's epochs one after another, or, with `steps_per_epoch`, stretches of that many batches
/// that go on where the last one ended and begin again at the dataset's end.
class EpochSource {
 public:
  /// Of each batch, only the rows of `strategy`'s replicas in this process.
  EpochSource(const data::Dataset& dataset, const distribute::Strategy& strategy,
              std::optional<int64_t> steps_per_epoch, int64_t first_epoch, int64_t epochs);
  /// The next batch, or nullptr at the end of an epoch. Throws InvalidArgument when the dataset has
  /// no batch at all.
  const data::Element* next();
  /// Which rows of the batch those are.
  const data::RowRange& row_range() const { return iterator_.row_range(); }
  /// Batches of an epoch; -1 when not known.
  int64_t steps() const { return steps_; }

 private:
  std::optional<int64_t> limit_;
  int64_t steps_ = -1;
  int64_t taken_ = 0;
  data::Iterator iterator_;
};

/// The callbacks of one run, in order, with the model and parameters they were given; who is chief
/// is filled in here.
class CallbackList {
 public:
  CallbackList(std::vector<Callback> callbacks, ModelImpl& model, CallbackParams params);
  ~CallbackList();
  CallbackList(const CallbackList&) = delete;
  CallbackList& operator=(const CallbackList&) = delete;

  bool want_step_times() const;
  /// Whether they do the same to the model on every worker without being told.
  bool same_on_all_workers() const;

  template <class... Parameters, class... Arguments>
  void call(void (CallbackImpl::*hook)(Parameters...), const Arguments&... arguments) {
    for (const Callback& callback : callbacks_) (callback.impl().*hook)(arguments...);
  }

 private:
  std::vector<Callback> callbacks_;
};

ElementLayout layout_of(const ModelImpl& model, const data::Dataset& dataset, int num_inputs);

struct FitData {
  data::Dataset dataset;
  ElementLayout layout;
  std::optional<data::Dataset> validation;
};
History fit(ModelImpl& model, const FitData& data, const FitOptions& options);
Logs evaluate(ModelImpl& model, const data::Dataset& dataset, const ElementLayout& layout,
              std::optional<int64_t> steps, CallbackList& callbacks);
std::vector<Tensor> predict(ModelImpl& model, const data::Dataset& dataset,
                            const ElementLayout& layout, std::optional<int64_t> steps,
                            CallbackList& callbacks);

}  // namespace cohort::nn::internal
