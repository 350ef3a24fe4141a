#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "cohort/cohort.h"
#include "tests/checkpoint/support.h"
#include "tests/support/expect_error.h"

/// A call of fit that is cut off anywhere, and made again with the same arguments, ends with the
/// bits of one that was not.
namespace cohort::nn {
namespace {

using checkpoint::TemporaryDirectory;
using testing::expect_error;
using ::testing::HasSubstr;

constexpr int64_t kRows = 70, kBatches = 5, kEpochs = 4;

data::Dataset rows(uint32_t seed) {
  std::mt19937 random(seed);
  Tensor x(DType::kF32, Shape{kRows, 6});
  Tensor y(DType::kI32, Shape{kRows});
  for (float& value : std::span(x.data<float>(), static_cast<size_t>(x.num_elements())))
    value = static_cast<float>(random() % 1009) / 1009 - 0.5f;
  for (int64_t i = 0; i < kRows; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(random() % 5);
  return data::Dataset::from_tensor_slices({x, y});
}

data::Dataset shuffled() { return rows(1).shuffle(kRows).batch(16).prefetch(); }

/// The process is killed: nothing of this one goes on.
struct Killed {};

/// What a program is, but for where it is killed.
struct Program {
  std::function<Optimizer()> optimizer = [] { return Adam({.learning_rate = 0.01}); };
  distribute::Strategy strategy = distribute::current_strategy();
  std::function<data::Dataset()> data = shuffled;
  std::optional<int64_t> steps_per_epoch = {};
  int64_t steps_per_execution = 1;
};

struct Result {
  std::string weights, scores;
  int64_t commits = 0, iterations = 0, stopped = 0;
  std::vector<int64_t> epochs;
  std::vector<std::pair<std::string, std::vector<double>>> history;
  bool operator==(const Result&) const = default;
};

/// Throws where so many batches have been trained in this process.
LambdaCallback killer(std::optional<int64_t> after) {
  auto seen = std::make_shared<int64_t>(0);
  return LambdaCallback({.on_train_batch_end = [after, seen](int64_t, const Logs&) {
    if (after && ++*seen == *after) throw Killed();
  }});
}

/// One process: all that a program does from its start on.
Result run(const Program& program, const std::string& directory, SaveFrequency save_freq,
           std::optional<int64_t> killed_after = {}) {
  set_random_seed(3);
  // The number of another process begins at 0.
  program.strategy.impl().commits()->assign(Tensor::scalar<int64_t>(0));
  const Model model = program.strategy.scope([&] {
    Sequential model({Dense({.units = 8, .activation = "relu"}), BatchNormalization(),
                      Dropout({.rate = 0.3}), Dense({.units = 5})});
    model.compile({.optimizer = program.optimizer(),
                   .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                   .metrics = {"accuracy"},
                   .steps_per_execution = program.steps_per_execution});
    return model;
  });
  const EarlyStopping stopping(
      {.monitor = "val_loss", .patience = 2, .restore_best_weights = true});
  std::vector<Callback> callbacks{
      stopping, ReduceLROnPlateau({.monitor = "val_accuracy", .factor = 0.5, .patience = 1}),
      BackupAndRestore(
          {.backup_dir = directory, .save_freq = save_freq, .delete_checkpoint = false}),
      killer(killed_after)};
  const bool scheduled = program.optimizer()->options().learning_rate.is_scheduled();
  if (scheduled) callbacks.erase(callbacks.begin() + 1);
  const History history = model.fit(program.data(), {.epochs = kEpochs,
                                                     .verbose = 0,
                                                     .callbacks = callbacks,
                                                     .validation_data = rows(2).batch(16),
                                                     .steps_per_epoch = program.steps_per_epoch});
  const Logs scores = model.evaluate(rows(2).batch(16), {.verbose = 0});
  return {.weights = model.fingerprint(),
          .scores = fmt::format("{}", scores["loss"]),
          .commits = model.model_impl().strategy().commit_number(),
          .iterations = model.optimizer()->iterations().value().item<int64_t>(),
          .epochs = history.epoch(),
          .history = history.history()};
}

/// Kills a process wherever `random` says, and starts it again, until it ends.
Result run_killed(const Program& program, const std::string& directory, SaveFrequency save_freq,
                  std::mt19937& random) {
  for (int start = 0; start < 30; ++start) {
    const auto batches = static_cast<int64_t>(1 + random() % (kBatches * 2));
    try {
      return run(program, directory, save_freq, batches);
    } catch (const Killed&) {
    }
  }
  return run(program, directory, save_freq);
}

TEST(ResumeTest, EveryPlaceOfACallIsOneToGoOnFrom) {
  const TemporaryDirectory undisturbed;
  const Result want = run({}, undisturbed.path(), 1);
  for (int64_t killed = 1; killed <= kBatches * kEpochs; ++killed) {
    SCOPED_TRACE(killed);
    const TemporaryDirectory directory;
    try {
      run({}, directory.path(), 1, killed);
    } catch (const Killed&) {
    }
    EXPECT_EQ(run({}, directory.path(), 1), want);
  }
}

}  // namespace
}  // namespace cohort::nn
