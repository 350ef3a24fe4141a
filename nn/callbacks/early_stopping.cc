#include "cohort/nn/callbacks/early_stopping.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>

#include "cohort/core/terminal.h"
#include "cohort/nn/callbacks/monitor.h"
#include "cohort/nn/model.h"

namespace cohort::nn {
namespace {

class EarlyStoppingImpl : public CallbackImpl {
 public:
  explicit EarlyStoppingImpl(EarlyStopping options)
      : options_(std::move(options)),
        monitor_("EarlyStopping", options_.monitor, options_.mode, options_.min_delta) {
    if (options_.patience < 0 || options_.start_from_epoch < 0)
      throw InvalidArgument("EarlyStopping: got patience {}, start_from_epoch {}; want 0 or more",
                            options_.patience, options_.start_from_epoch);
    if (options_.baseline && !std::isfinite(*options_.baseline))
      throw InvalidArgument("EarlyStopping: got baseline {}; want a finite number",
                            *options_.baseline);
  }

  bool same_on_all_workers() const override { return true; }

  void on_train_begin() override {
    wait_ = 0;
    stopped_epoch_ = 0;
    best_.reset();
    best_weights_.clear();
  }

  void on_epoch_end(int64_t epoch, const Logs& logs) override {
    const double* current = monitor_.find(logs, params().is_chief);
    if (!current || epoch < options_.start_from_epoch) return;
    ++wait_;
    if (monitor_.improves(*current, best_)) {
      best_ = *current;
      if (options_.restore_best_weights) keep_weights(epoch);
      if (!options_.baseline || monitor_.improves(*current, *options_.baseline)) wait_ = 0;
    } else if (wait_ >= options_.patience && epoch > 0) {
      stopped_epoch_ = epoch;
      model().set_stop_training(true);
    }
  }

  void save_state(NamedTensors& state) const override {
    state.set("wait", wait_);
    state.set("stopped_epoch", stopped_epoch_);
    state.set("best_epoch", best_epoch_);
    if (best_) state.set("best", *best_);
    for (size_t i = 0; i < best_weights_.size(); ++i)
      state.set("best_weights/" + std::to_string(i), best_weights_[i]);
  }
  void load_state(const NamedTensors& state) override {
    wait_ = state.integer("wait");
    stopped_epoch_ = state.integer("stopped_epoch");
    best_epoch_ = state.integer("best_epoch");
    if (state.has("best")) best_ = state.number("best");
    for (size_t i = 0, count = state.all("best_weights/").size(); i < count; ++i)
      best_weights_.push_back(state.tensor("best_weights/" + std::to_string(i)));
  }

  void on_train_end(const Logs&) override {
    if (stopped_epoch_ > 0 && options_.verbose > 0 && params().is_chief)
      say(stdout, fmt::format("Epoch {}: early stopping\n", stopped_epoch_ + 1));
    if (best_weights_.empty()) return;
    if (options_.verbose > 0 && params().is_chief)
      say(stdout, fmt::format("Restoring model weights from the end of the best epoch: {}.\n",
                              best_epoch_ + 1));
    model().set_weights(best_weights_);
  }

 private:
  void keep_weights(int64_t epoch) {
    best_weights_ = model().get_weights();
    best_epoch_ = epoch;
  }

  EarlyStopping options_;
  internal::Monitor monitor_;
  int64_t wait_ = 0, stopped_epoch_ = 0, best_epoch_ = 0;
  std::optional<double> best_;
  std::vector<Tensor> best_weights_;
};

}  // namespace

EarlyStopping::operator Callback() const { return make<EarlyStoppingImpl>(*this); }

}  // namespace cohort::nn
