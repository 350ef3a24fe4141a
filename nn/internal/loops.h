#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "cohort/nn/internal/batches.h"

/// The loops of fit, evaluate and predict over an input.
namespace cohort::nn::internal {

struct EpochOptions {
  std::string_view what;              ///< who asks, for warnings: "fit"; empty: none
  std::optional<int64_t> steps = {};  ///< batches of an epoch; absent: the dataset's
  bool begins_again = false;          ///< at the dataset's end within an epoch of so many steps
  int64_t first_epoch = 0, epochs = 1;
};

/// Where an EpochSource stands.
struct EpochPosition {
  std::string input;  ///< Batches::position
  int64_t taken = 0;  ///< batches of the epoch
};

/// An input's epochs one after another, or, with `steps`, stretches of that many batches that go
/// on where the last one ended. A dataset that ends within such a stretch ends it, or begins again:
/// either is said, once.
class EpochSource {
 public:
  /// Of each element the first components are taken, as many as the layout has.
  EpochSource(const Input& input, const distribute::Strategy& strategy, const ElementLayout& layout,
              EpochOptions options);
  /// Goes on `from` where another one of an equal input stood; `options.epochs` from its own on.
  EpochSource(const Input& input, const distribute::Strategy& strategy, const ElementLayout& layout,
              EpochOptions options, const EpochPosition& from);
  /// Goes to the next batch; false at the end of an epoch. Throws InvalidArgument when the dataset
  /// has no batch at all.
  bool next();
  const Batches& batch() const { return *batches_; }
  /// Runs a step on the batch.
  void run(distribute::StepRunner& step, const distribute::StepNumber& number) {
    batches_->run(step, number);
  }
  /// Batches of an epoch; -1 when not known.
  int64_t steps() const { return steps_; }
  static int64_t steps_of(const Input& input, const std::optional<int64_t>& steps);
  /// Behind the last batch. Collective.
  EpochPosition position() const { return {batches_->position(), taken_}; }

 private:
  EpochSource(const Input& input, const distribute::Strategy& strategy, EpochOptions options,
              std::unique_ptr<Batches> batches);
  bool next_after_the_end();

  distribute::Strategy strategy_;
  EpochOptions options_;
  bool has_warned_ = false;
  int64_t steps_ = -1;
  int64_t taken_ = 0;
  std::unique_ptr<Batches> batches_;
};

/// One call of fit, evaluate or predict, while it lasts. Callbacks may make others inside it, but
/// not compile the model: see ModelImpl::compile.
class RunScope {
 public:
  explicit RunScope(ModelImpl& model) : model_(model) { ++model_.runs_; }
  ~RunScope() { --model_.runs_; }
  RunScope(const RunScope&) = delete;
  RunScope& operator=(const RunScope&) = delete;

 private:
  ModelImpl& model_;
};

/// The callbacks of one run, in order, with the model and parameters they were given; who is chief
/// is filled in here. Afterwards they have again what they had before, that of a run around this
/// one.
class CallbackList {
 public:
  CallbackList(std::vector<Callback> callbacks, ModelImpl& model, CallbackParams params);
  ~CallbackList();
  CallbackList(const CallbackList&) = delete;
  CallbackList& operator=(const CallbackList&) = delete;

  bool want_step_times() const;
  /// Lets them know that the run goes on from an earlier process.
  void set_resumes();
  /// Whether they do the same to the model on every worker without being told.
  bool same_on_all_workers() const;
  bool watch_signals() const;
  /// That one of them has been sent here; 0: none.
  int signal() const;

  template <class... Parameters, class... Arguments>
  void call(void (CallbackImpl::*hook)(Parameters...), const Arguments&... arguments) {
    for (const Callback& callback : callbacks_) (callback.impl().*hook)(arguments...);
  }

 private:
  struct Context {
    ModelImpl* model;
    CallbackParams params;
  };
  std::vector<Callback> callbacks_;
  std::vector<Context> before_;  ///< of each callback
};

/// The callbacks of a run, and before them, unless `verbose` is 0, a progress bar: what they print
/// at the end of an epoch comes after its line.
std::vector<Callback> with_progress_bar(std::vector<Callback> callbacks, int verbose);

/// Returns what `work` returns; its errors begin with `where`, unless that is empty.
template <class Work>
decltype(auto) located(std::string_view where, Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (where.empty()) throw;
    throw error.within(where);
  }
}

/// Where errors of fit's validation come from.
constexpr std::string_view kValidation = "fit: validation";

struct FitData {
  Input input;
  ElementLayout layout;
  std::optional<Input> validation;
};
History fit(ModelImpl& model, const FitData& data, const FitOptions& options);
/// `what`: see EpochOptions. `where`: errors of the data and of the steps begin with it.
Logs evaluate(ModelImpl& model, const Input& input, const ElementLayout& layout,
              std::optional<int64_t> steps, CallbackList& callbacks, std::string_view what,
              std::string_view where = "");
/// The layout has inputs alone.
std::vector<Tensor> predict(ModelImpl& model, const Input& input, const ElementLayout& layout,
                            std::optional<int64_t> steps, CallbackList& callbacks);

}  // namespace cohort::nn::internal
