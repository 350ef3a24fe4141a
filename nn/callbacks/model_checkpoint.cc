#include "cohort/nn/callbacks/model_checkpoint.h"

#include <fmt/args.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdio>

#include "cohort/core/terminal.h"
#include "cohort/nn/callbacks/monitor.h"
#include "cohort/nn/model.h"
#include "cohort/nn/saving/checkpoint_manager.h"

namespace cohort::nn {
namespace {

class ModelCheckpointImpl : public CallbackImpl {
 public:
  explicit ModelCheckpointImpl(ModelCheckpoint options)
      : options_(std::move(options)), best_(options_.initial_value_threshold) {
    const std::string& path = options_.filepath;
    if (path.empty()) throw InvalidArgument("ModelCheckpoint: got an empty filepath; want one");
    is_file_ = path.ends_with(".weights.h5");
    if (is_file_ && !options_.save_weights_only)
      throw InvalidArgument("ModelCheckpoint: got filepath {}; want save_weights_only with it",
                            path);
    if (path.ends_with(".keras") || (path.ends_with(".h5") && !is_file_))
      throw Unimplemented(
          "ModelCheckpoint: got filepath {}; want the name of a directory, or of a .weights.h5: "
          "Keras' files of whole models are not written",
          path);
    if (best_ && !std::isfinite(*best_))
      throw InvalidArgument("ModelCheckpoint: got initial_value_threshold {}; want a finite number",
                            *best_);
    if (options_.save_best_only)
      monitor_.emplace("ModelCheckpoint", options_.monitor, options_.mode, 0);
  }

  bool same_on_all_workers() const override { return true; }

  void on_epoch_begin(int64_t epoch) override { epoch_ = epoch; }
  void on_train_batch_end(int64_t batch, const Logs& logs) override {
    if (options_.save_freq.batches() && counter_.is_due(batch, *options_.save_freq.batches()))
      save(batch, logs);
  }
  void on_epoch_end(int64_t epoch, const Logs& logs) override {
    epoch_ = epoch;
    if (!options_.save_freq.batches()) save({}, logs);
  }

  void save_state(NamedTensors& state) const override {
    counter_.save(state);
    state.set("epoch", epoch_);
    if (best_) state.set("best", *best_);
  }
  void load_state(const NamedTensors& state) override {
    counter_.load(state);
    epoch_ = state.integer("epoch");
    best_.reset();
    if (state.has("best")) best_ = state.number("best");
  }

 private:
  void save(std::optional<int64_t> batch, const Logs& logs) {
    const std::string path = path_for(batch, logs);
    const double* current = monitor_ ? monitor_->find(logs, params().is_chief) : nullptr;
    if (!is_wanted(current, path)) return;
    if (is_file_)
      model().save_weights(path);
    else
      CheckpointManager(Checkpoint({{"model", model()}}), {.directory = path, .max_to_keep = 1})
          .save({.metric = current ? std::optional(*current) : std::nullopt});
    print("finished saving model to " + path);
  }

  /// Saved, too, where the logs have nothing to compare.
  bool is_wanted(const double* current, const std::string& path) {
    if (!current) {
      if (!monitor_) print("saving model to " + path);
      return true;
    }
    const std::string before = best_ ? fmt::format("{:.5f}", *best_) : "None";
    if (!monitor_->improves(*current, best_)) {
      print(fmt::format("{} did not improve from {}", options_.monitor, before));
      return false;
    }
    print(fmt::format("{} improved from {} to {:.5f}, saving model to {}", options_.monitor, before,
                      *current, path));
    best_ = *current;
    return true;
  }

  std::string path_for(std::optional<int64_t> batch, const Logs& logs) const {
    fmt::dynamic_format_arg_store<fmt::format_context> values;
    values.push_back(fmt::arg("epoch", epoch_ + 1));
    if (batch && !logs.has("batch")) values.push_back(fmt::arg("batch", *batch + 1));
    for (const auto& [name, value] : logs) values.push_back(fmt::arg(name.c_str(), value));
    try {
      return fmt::vformat(options_.filepath, values);
    } catch (const fmt::format_error& error) {
      std::string names = "epoch";
      for (const auto& [name, value] : logs) names += " " + name;
      throw InvalidArgument("ModelCheckpoint: filepath: got {}, {}; want names of {}",
                            options_.filepath, error.what(), names);
    }
  }

  void print(const std::string& text) const {
    if (options_.verbose > 0 && params().is_chief)
      say(stdout, fmt::format("\nEpoch {}: {}\n", epoch_ + 1, text));
  }

  ModelCheckpoint options_;
  std::optional<internal::Monitor> monitor_;
  std::optional<double> best_;
  internal::BatchCounter counter_;
  int64_t epoch_ = 0;
  bool is_file_ = false;  ///< not a directory
};

}  // namespace

ModelCheckpoint::operator Callback() const { return make<ModelCheckpointImpl>(*this); }

}  // namespace cohort::nn
