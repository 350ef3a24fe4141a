#pragma once

#include <optional>

#include "cohort/nn/internal/loops.h"
#include "cohort/nn/internal/trainer.h"
#include "cohort/nn/optimizer.h"

namespace cohort::nn::internal {

/// What hooks on one worker want of all of them.
struct Wishes {
  bool stop = false;                      ///< of training: any worker's
  std::optional<double> learning_rate{};  ///< the chief's; else it stays as it is
  int signal = 0;                         ///< that any worker was sent; 0: none
};

/// How the workers of a job come to do what hooks on one of them ask for: all of them behind the
/// same step. What was asked for before an execution goes with it, as a flag in a lane of the
/// steps' sums (StepRecording::add_control_lane), so that nothing is sent where nobody asks. Where
/// the sum says that somebody does, all exchange their wishes, which hold from then on; until then
/// every optimizer keeps the learning rate that all have agreed on. One execution is under way at a
/// time, so a wish holds one execution later than in one process, where it does at once. So do, on
/// all workers alike, those of callbacks that are the same on all.
class ControlWord {
 public:
  /// `step` is trainer.train_step's. Collective.
  ControlWord(ModelImpl& model, Trainer& trainer, distribute::StepRunner& step,
              const CallbackList& callbacks);

  /// At an epoch's beginning, before its first execution, and at its end: wishes hold at once.
  /// Collective.
  void begin_epoch();
  void end_epoch() { exchange(); }
  /// Before an execution: lets its steps carry what has been asked for.
  void tell();
  /// Behind it, before the hooks. Collective where somebody had something to tell.
  void listen();
  /// Behind hooks: a learning rate that one of them has set is a wish, and on others than the chief
  /// nothing.
  void hold();
  /// Whether all workers stop here: behind the hooks.
  bool stops() const { return defers_ ? stops_ : model_.stop_training; }
  /// That has come to any worker; 0: none.
  int signal() const { return is_alone_ ? callbacks_.signal() : signal_; }

  /// What has been asked for since the latest execution, and is to be kept for a later process.
  /// Collective.
  Wishes pending();
  /// Asks for it anew, in that process.
  void restore(const Wishes& wishes) { restored_ = wishes; }

 private:
  void exchange();
  std::optional<double> rate() const;

  ModelImpl& model_;
  distribute::Workers& workers_;
  Trainer& trainer_;
  const Optimizer& optimizer_;
  distribute::StepRunner& step_;
  const CallbackList& callbacks_;
  const bool is_alone_;
  const bool defers_;   ///< some callback is not the same on all workers
  const bool watches_;  ///< some callback waits for signals
  bool stops_ = false;
  int signal_ = 0;
  std::optional<double> agreed_rate_, wished_rate_;
  Wishes restored_;
};

}  // namespace cohort::nn::internal
