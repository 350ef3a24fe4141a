#pragma once

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cohort/cohort.h"
#include "tests/checkpoint/support.h"

/// A program that is killed anywhere and started again.
namespace cohort::nn {

using checkpoint::TemporaryDirectory;

constexpr int64_t kRows = 70, kBatches = 5, kEpochs = 3;

inline data::Dataset labelled_rows(uint32_t seed) {
  std::mt19937 random(seed);
  Tensor x(DType::kF32, Shape{kRows, 6});
  Tensor y(DType::kI32, Shape{kRows});
  for (float& value : std::span(x.data<float>(), static_cast<size_t>(x.num_elements())))
    value = static_cast<float>(random() % 1009) / 1009 - 0.5f;
  for (int64_t i = 0; i < kRows; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(random() % 5);
  return data::Dataset::from_tensor_slices({x, y});
}

inline data::Dataset shuffled_batches() {
  return labelled_rows(1).shuffle(kRows).batch(16).prefetch();
}

/// The process is killed: nothing of this one goes on.
struct Killed {};

/// Throws where so many batches have been trained in this process.
inline LambdaCallback killer(std::optional<int64_t> after) {
  auto seen = std::make_shared<int64_t>(0);
  return LambdaCallback({.on_train_batch_end = [after, seen](int64_t, const Logs&) {
    if (after && ++*seen == *after) throw Killed();
  }});
}

inline Model make_classifier(const Optimizer& optimizer, int64_t steps_per_execution = 1) {
  Sequential model({Dense({.units = 8, .activation = "relu"}), BatchNormalization(),
                    Dropout({.rate = 0.3}), Dense({.units = 5})});
  model.compile({.optimizer = optimizer,
                 .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                 .metrics = {"accuracy"},
                 .steps_per_execution = steps_per_execution});
  return model;
}

/// What a process ends with, in words that differ when a bit does.
inline std::string describe(const Model& model, const History& history) {
  const Logs scores = model.evaluate(labelled_rows(2).batch(16), {.verbose = 0});
  std::string text =
      fmt::format("weights {}, {} commits, {} iterations, rate {}, {} steps", model.fingerprint(),
                  model.model_impl().strategy().commit_number(),
                  model.optimizer()->iterations().value().item<int64_t>(),
                  model.optimizer().learning_rate(), model.model_impl().steps_trained());
  for (const auto& [name, values] : history.history())
    text += fmt::format("\n{}: {}", name, fmt::join(values, " "));
  text += fmt::format("\nepochs {}\nevaluated", fmt::join(history.epoch(), " "));
  for (const auto& [name, value] : scores) text += fmt::format(" {} {}", name, value);
  return text;
}

/// What a program is, but for where it is killed.
struct Program {
  std::function<Optimizer()> optimizer = [] { return Adam({.learning_rate = 0.01}); };
  distribute::Strategy strategy = distribute::current_strategy();
  std::function<data::Dataset()> data = shuffled_batches;
  std::optional<int64_t> steps_per_epoch = {};
  int64_t steps_per_execution = 1;
  bool is_distributed = false;  ///< the dataset, before fit
  std::vector<Callback> callbacks = {};
  BackupAndRestore backup = {.backup_dir = "", .save_freq = 1};
};

/// One process: all that a program does from its start on.
inline std::string run_process(Program program, const std::string& directory,
                               std::optional<int64_t> killed_after = {}) {
  set_random_seed(3);
  // The number of another process begins at 0.
  program.strategy.impl().commits()->assign(Tensor::scalar<int64_t>(0));
  const Model model = program.strategy.scope(
      [&] { return make_classifier(program.optimizer(), program.steps_per_execution); });
  program.backup.backup_dir = directory;
  program.backup.delete_checkpoint = false;
  std::vector<Callback> callbacks{
      EarlyStopping({.monitor = "val_loss", .patience = 1, .restore_best_weights = true}),
      program.backup, killer(killed_after)};
  if (!program.optimizer()->options().learning_rate.is_scheduled())
    callbacks.insert(callbacks.begin(),
                     ReduceLROnPlateau({.monitor = "val_accuracy", .factor = 0.5, .patience = 1}));
  callbacks.insert(callbacks.end(), program.callbacks.begin(), program.callbacks.end());
  const FitOptions options{.epochs = kEpochs,
                           .verbose = 0,
                           .callbacks = callbacks,
                           .validation_data = labelled_rows(2).batch(16),
                           .steps_per_epoch = program.steps_per_epoch};
  const History history =
      program.is_distributed
          ? model.fit(program.strategy.experimental_distribute_dataset(program.data()), options)
          : model.fit(program.data(), options);
  return describe(model, history);
}

/// Kills a process wherever `random` says, and starts it again, until it ends.
inline std::string run_killed(const Program& program, const std::string& directory,
                              std::mt19937& random) {
  for (int start = 0; start < 30; ++start) {
    const auto batches = static_cast<int64_t>(1 + random() % (kBatches * 2));
    try {
      return run_process(program, directory, batches);
    } catch (const Killed&) {
    }
  }
  return run_process(program, directory);
}

/// Killed at random places, with saves now and then, a program ends as if it had not been.
inline void expect_resumes(Program program, uint32_t seed) {
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  const TemporaryDirectory undisturbed;
  const std::string want = run_process(program, undisturbed.path());
  for (const int64_t batches : {1, 3}) {
    program.backup.save_freq = batches;
    const TemporaryDirectory directory;
    EXPECT_EQ(run_killed(program, directory.path(), random), want);
  }
}

}  // namespace cohort::nn
