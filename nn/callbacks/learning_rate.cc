#include "cohort/nn/callbacks/learning_rate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "cohort/core/terminal.h"
#include "cohort/nn/callbacks/monitor.h"
#include "cohort/nn/model.h"

namespace cohort::nn {
namespace {

class LearningRateSchedulerImpl : public CallbackImpl {
 public:
  explicit LearningRateSchedulerImpl(LearningRateScheduler options) : options_(std::move(options)) {
    if (!options_.schedule)
      throw InvalidArgument("LearningRateScheduler: got no schedule; want a function");
  }

  bool same_on_all_workers() const override { return true; }

  void on_epoch_begin(int64_t epoch) override {
    const Optimizer optimizer = model().optimizer();
    const double rate = options_.schedule(epoch, optimizer.learning_rate());
    optimizer.set_learning_rate(rate);
    if (options_.verbose > 0 && params().is_chief)
      say(stdout, fmt::format("Epoch {}: LearningRateScheduler setting learning rate to {:g}.\n",
                              epoch + 1, rate));
  }

 private:
  LearningRateScheduler options_;
};

class ReduceLROnPlateauImpl : public CallbackImpl {
 public:
  explicit ReduceLROnPlateauImpl(ReduceLROnPlateau options)
      : options_(std::move(options)),
        monitor_("ReduceLROnPlateau", options_.monitor, options_.mode, options_.min_delta) {
    if (!(options_.factor > 0 && options_.factor < 1))
      throw InvalidArgument("ReduceLROnPlateau: got factor {}; want more than 0, less than 1",
                            options_.factor);
    if (options_.patience < 0 || options_.cooldown < 0 || !(options_.min_lr >= 0))
      throw InvalidArgument(
          "ReduceLROnPlateau: got patience {}, cooldown {}, min_lr {}; want 0 or more",
          options_.patience, options_.cooldown, options_.min_lr);
  }

  bool same_on_all_workers() const override { return true; }

  void on_train_begin() override {
    best_.reset();
    wait_ = 0;
    cooldown_ = 0;
  }

  void save_state(NamedTensors& state) const override {
    if (best_) state.set("best", *best_);
    state.set("wait", wait_);
    state.set("cooldown", cooldown_);
  }
  void load_state(const NamedTensors& state) override {
    if (state.has("best")) best_ = state.number("best");
    wait_ = state.integer("wait");
    cooldown_ = state.integer("cooldown");
  }

  void on_epoch_end(int64_t epoch, const Logs& logs) override {
    const double* current = monitor_.find(logs, params().is_chief);
    if (!current) return;
    if (cooldown_ > 0) {
      --cooldown_;
      wait_ = 0;
    }
    if (monitor_.improves(*current, best_)) {
      best_ = *current;
      wait_ = 0;
    } else if (cooldown_ == 0 && ++wait_ >= options_.patience) {
      reduce(epoch);
    }
  }

 private:
  void reduce(int64_t epoch) {
    const Optimizer optimizer = model().optimizer();
    const double old = optimizer.learning_rate();
    if (!(old > static_cast<double>(static_cast<float>(options_.min_lr)))) return;
    const double rate = std::max(old * options_.factor, options_.min_lr);
    optimizer.set_learning_rate(rate);
    cooldown_ = options_.cooldown;
    wait_ = 0;
    if (options_.verbose > 0 && params().is_chief)
      say(stdout, fmt::format("Epoch {}: ReduceLROnPlateau reducing learning rate to {:g}.\n",
                              epoch + 1, rate));
  }

  ReduceLROnPlateau options_;
  internal::Monitor monitor_;
  std::optional<double> best_;
  int64_t wait_ = 0, cooldown_ = 0;
};

}  // namespace

LearningRateScheduler::operator Callback() const { return make<LearningRateSchedulerImpl>(*this); }
ReduceLROnPlateau::operator Callback() const { return make<ReduceLROnPlateauImpl>(*this); }

}  // namespace cohort::nn
