#include "nn/callbacks/early_stopping.h"

#include <cmath>
#include <cstdio>

#include "nn/internal/names.h"
#include "nn/model.h"

namespace cohort::nn {
namespace {

bool larger_is_better(const EarlyStoppingOptions& options) {
  if (options.mode != "auto") return options.mode == "max";
  const auto contains = [&](const char* part) {
    return options.monitor.find(part) != std::string::npos;
  };
  if (contains("acc")) return true;
  if (contains("loss") || contains("error") || contains("mse") || contains("crossentropy"))
    return false;
  throw InvalidArgument("EarlyStopping: got mode \"auto\" for monitor {}; want \"min\" or \"max\"",
                        options.monitor);
}

class EarlyStoppingImpl : public CallbackImpl {
 public:
  explicit EarlyStoppingImpl(EarlyStoppingOptions options) : options_(std::move(options)) {
    internal::check_name("EarlyStopping", "mode", options_.mode, {"auto", "min", "max"});
    if (options_.patience < 0 || options_.start_from_epoch < 0)
      throw InvalidArgument("EarlyStopping: got patience {}, start_from_epoch {}; want 0 or more",
                            options_.patience, options_.start_from_epoch);
    max_ = larger_is_better(options_);
  }

  bool same_on_all_workers() const override { return true; }

  void on_train_begin() override {
    wait_ = 0;
    stopped_epoch_ = 0;
    best_.reset();
    best_weights_.clear();
  }

  void on_epoch_end(int64_t epoch, const Logs& logs) override {
    const double* current = logs.find(options_.monitor);
    if (!current) warn(logs);
    if (!current || epoch < options_.start_from_epoch) return;
    if (options_.restore_best_weights && best_weights_.empty()) keep_weights(epoch);
    ++wait_;
    if (!best_ || improves(*current, *best_)) {
      best_ = *current;
      if (options_.restore_best_weights) keep_weights(epoch);
      if (!options_.baseline || improves(*current, *options_.baseline)) wait_ = 0;
    } else if (wait_ >= options_.patience && epoch > 0) {
      stopped_epoch_ = epoch;
      model().set_stop_training(true);
    }
  }

  void on_train_end(const Logs&) override {
    if (stopped_epoch_ > 0 && options_.verbose > 0 && params().is_chief)
      std::printf("Epoch %lld: early stopping\n", static_cast<long long>(stopped_epoch_ + 1));
    if (best_weights_.empty()) return;
    if (options_.verbose > 0 && params().is_chief)
      std::printf("Restoring model weights from the end of the best epoch: %lld.\n",
                  static_cast<long long>(best_epoch_ + 1));
    model().set_weights(best_weights_);
  }

 private:
  bool improves(double value, double over) const {
    const double delta = std::abs(options_.min_delta);
    return max_ ? value - delta > over : value + delta < over;
  }
  void keep_weights(int64_t epoch) {
    best_weights_ = model().get_weights();
    best_epoch_ = epoch;
  }
  void warn(const Logs& logs) const {
    if (!params().is_chief) return;
    std::string names;
    for (const auto& [name, value] : logs) names += " " + name;
    std::fprintf(stderr, "EarlyStopping: monitor %s is not there; there are%s\n",
                 options_.monitor.c_str(), names.c_str());
  }

  EarlyStoppingOptions options_;
  bool max_;
  int64_t wait_ = 0, stopped_epoch_ = 0, best_epoch_ = 0;
  std::optional<double> best_;
  std::vector<Tensor> best_weights_;
};

}  // namespace

EarlyStopping::EarlyStopping(EarlyStoppingOptions options)
    : Callback(std::make_shared<EarlyStoppingImpl>(std::move(options))) {}

}  // namespace cohort::nn
