#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "cohort/cohort.h"
#include "cohort/core/preempted.h"
#include "tests/checkpoint/support.h"
#include "tests/support/expect_error.h"

/// A call of fit that is cut off anywhere, and made again with the same arguments, ends with the
/// bits of one that was not.
namespace cohort::nn {
namespace {

using checkpoint::TemporaryDirectory;
using testing::expect_error;
using ::testing::HasSubstr;

constexpr int64_t kRows = 70, kBatches = 5, kEpochs = 3;

data::Dataset labelled_rows(uint32_t seed) {
  std::mt19937 random(seed);
  Tensor x(DType::kF32, Shape{kRows, 6});
  Tensor y(DType::kI32, Shape{kRows});
  for (float& value : std::span(x.data<float>(), static_cast<size_t>(x.num_elements())))
    value = static_cast<float>(random() % 1009) / 1009 - 0.5f;
  for (int64_t i = 0; i < kRows; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(random() % 5);
  return data::Dataset::from_tensor_slices({x, y});
}

data::Dataset shuffled_batches() { return labelled_rows(1).shuffle(kRows).batch(16).prefetch(); }

/// The process is killed: nothing of this one goes on.
struct Killed {};

/// Throws where so many batches have been trained in this process.
LambdaCallback killer(std::optional<int64_t> after) {
  auto seen = std::make_shared<int64_t>(0);
  return LambdaCallback({.on_train_batch_end = [after, seen](int64_t, const Logs&) {
    if (after && ++*seen == *after) throw Killed();
  }});
}

Model make_classifier(const Optimizer& optimizer, int64_t steps_per_execution = 1) {
  Sequential model({Dense({.units = 8, .activation = "relu"}), BatchNormalization(),
                    Dropout({.rate = 0.3}), Dense({.units = 5})});
  model.compile({.optimizer = optimizer,
                 .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                 .metrics = {"accuracy"},
                 .steps_per_execution = steps_per_execution});
  return model;
}

/// What a process ends with, in words that differ when a bit does.
std::string describe(const Model& model, const History& history) {
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
std::string run_process(Program program, const std::string& directory,
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
std::string run_killed(const Program& program, const std::string& directory, std::mt19937& random) {
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
void expect_resumes(Program program, uint32_t seed) {
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

TEST(ResumeTest, EveryPlaceOfACallIsOneToGoOnFrom) {
  const TemporaryDirectory undisturbed;
  const std::string want = run_process({}, undisturbed.path());
  for (int64_t killed = 1; killed <= kBatches * kEpochs; ++killed) {
    SCOPED_TRACE(killed);
    const TemporaryDirectory directory;
    try {
      run_process({}, directory.path(), killed);
    } catch (const Killed&) {
    }
    EXPECT_EQ(run_process({}, directory.path()), want);
  }
}

TEST(ResumeTest, EveryOptimizerGoesOn) {
  const std::vector<std::function<Optimizer()>> optimizers{
      [] { return SGD({.momentum = 0.9, .nesterov = true}); },
      [] { return Adam({.amsgrad = true, .clipvalue = 0.05}); },
      [] { return Adam({.gradient_accumulation_steps = 3}); },
      [] {
        return SGD({.learning_rate = schedules::ExponentialDecay(
                        {.initial_learning_rate = 0.1, .decay_steps = 4, .decay_rate = 0.5})});
      }};
  for (size_t i = 0; i < optimizers.size(); ++i)
    expect_resumes({.optimizer = optimizers[i]}, 10 + static_cast<uint32_t>(i));
}

TEST(ResumeTest, EveryStrategyGoesOnAndSoDoesAnotherNumberOfDevices) {
  const distribute::Strategy two = distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
  const distribute::Strategy sharded = distribute::MirroredStrategy(
      {.devices = {"cpu:2", "cpu:3"}, .sharding = distribute::Sharding::kZero1});
  const distribute::Strategy one =
      distribute::MirroredStrategy({.devices = {"cpu:0"}, .num_replicas = 2});
  expect_resumes({.strategy = two}, 20);
  expect_resumes({.strategy = sharded}, 21);
  const TemporaryDirectory undisturbed, directory;
  const std::string want = run_process({.strategy = one}, undisturbed.path());
  EXPECT_THROW(run_process({.strategy = two}, directory.path(), 7), Killed);
  EXPECT_THROW(run_process({.strategy = sharded}, directory.path(), 4), Killed);
  EXPECT_EQ(run_process({.strategy = one}, directory.path()), want);
}

TEST(ResumeTest, EpochsOfSoManyStepsGoOn) {
  expect_resumes({.data = [] { return shuffled_batches().repeat(); }, .steps_per_epoch = 7}, 30);
  expect_resumes({.data = shuffled_batches, .steps_per_epoch = 3}, 31);
  expect_resumes({.steps_per_execution = 2}, 32);
}

TEST(ResumeTest, DistributedDatasetsGoOn) {
  const distribute::Strategy two = distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
  expect_resumes({.strategy = two, .is_distributed = true}, 40);
}

TEST(ResumeTest, StepsThatLookInsideArePassedOverAgain) {
  const auto data = [] {
    return labelled_rows(1)
        .cache()
        .shuffle(16)
        .filter([](const data::Element& row) { return row[1].item<int32_t>() != 3; })
        .map([](const data::Element& row) { return row; }, {.num_parallel_calls = 2})
        .batch(8)
        .prefetch();
  };
  expect_resumes({.data = data}, 50);
}

TEST(ResumeTest, AsynchronousSavesAreAsGood) {
  Program program;
  program.backup.asynchronous = true;
  expect_resumes(program, 60);
  program.strategy = distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
  expect_resumes(program, 61);
}

TEST(ResumeTest, ACallThatHasEndedReturnsItsHistoryAtOnce) {
  const auto program = [](const std::string& directory, std::optional<int64_t> killed) {
    set_random_seed(3);
    const Model model = make_classifier(SGD({.learning_rate = 0.1, .momentum = 0.9}));
    const auto fit = [&](int64_t epochs) {
      return model.fit(
          shuffled_batches(),
          {.epochs = epochs,
           .verbose = 0,
           .callbacks = {BackupAndRestore(
                             {.backup_dir = directory, .save_freq = 1, .delete_checkpoint = false}),
                         killer(killed)}});
    };
    const History first = fit(2);
    model.optimizer().set_learning_rate(0.05);
    const History second = fit(3);
    return describe(model, first) + describe(model, second);
  };
  const TemporaryDirectory undisturbed;
  const std::string want = program(undisturbed.path(), {});
  EXPECT_EQ(program(undisturbed.path(), {}), want) << "all calls had ended";
  for (const int64_t killed : {3, 8, 10}) {  // the last one between the calls
    const TemporaryDirectory directory;
    for (int start = 0; start < 4; ++start) {
      try {
        program(directory.path(), killed);
      } catch (const Killed&) {
      }
    }
    EXPECT_EQ(program(directory.path(), {}), want) << killed;
  }
}

TEST(ResumeTest, MoreEpochsAreTrainedWhereTheCallHadEnded) {
  const auto program = [](const std::string& directory, int64_t epochs) {
    set_random_seed(3);
    const Model model = make_classifier(Adam());
    const History history = model.fit(
        shuffled_batches(),
        {.epochs = epochs,
         .verbose = 0,
         .callbacks = {BackupAndRestore({.backup_dir = directory, .delete_checkpoint = false})}});
    return describe(model, history);
  };
  const TemporaryDirectory undisturbed, directory;
  const std::string want = program(undisturbed.path(), 3);
  program(directory.path(), 1);
  EXPECT_EQ(program(directory.path(), 3), want);
}

TEST(ResumeTest, TheBackupGoesWhenTrainingHasEnded) {
  const TemporaryDirectory directory;
  set_random_seed(3);
  const Model model = make_classifier(Adam());
  model.fit(shuffled_batches(),
            {.epochs = 2,
             .verbose = 0,
             .callbacks = {BackupAndRestore({.backup_dir = directory.path()})}});
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(ResumeTest, WhatCannotGoOnIsRefusedByName) {
  const TemporaryDirectory directory;
  EXPECT_THROW(run_process({}, directory.path(), 7), Killed);
  const Program other{.data = [] { return labelled_rows(1).batch(16); }};
  expect_error(Code::kInvalidArgument, {"position of another dataset"},
               [&] { run_process(other, directory.path()); });
  Program exact;
  exact.backup.exact = true;
  exact.callbacks = {TerminateOnNaN()};
  expect_error(Code::kFailedPrecondition, {"callbacks are"},
               [&] { run_process(exact, directory.path()); });
  exact.callbacks = {};
  exact.strategy = distribute::MirroredStrategy({.devices = {"cpu:0"}, .num_replicas = 2});
  expect_error(Code::kFailedPrecondition, {"replicas is 2 here and 1 there"},
               [&] { run_process(exact, directory.path()); });

  const TemporaryDirectory foreign;
  const Model model = make_classifier(Adam());
  Checkpoint({{"model", model}}).save(foreign.path());
  expect_error(Code::kFailedPrecondition, {"fit has not saved"},
               [&] { run_process({}, foreign.path()); });
  const TemporaryDirectory inside;
  const LambdaCallback nested({.on_epoch_end = [&](int64_t, const Logs&) {
    model.fit(shuffled_batches(),
              {.verbose = 0, .callbacks = {BackupAndRestore({.backup_dir = inside.path()})}});
  }});
  expect_error(Code::kFailedPrecondition, {"inside of another one"},
               [&] { model.fit(shuffled_batches(), {.verbose = 0, .callbacks = {nested}}); });
}

TEST(ResumeTest, FilesGoOnAndOneOfAnotherSizeIsNamed) {
  const TemporaryDirectory files, undisturbed, directory;
  const std::string path = files.path("lines.txt");
  const auto write = [&](const char* end) {
    std::ofstream out(path);
    for (int i = 0; i < kRows; ++i) out << std::string(static_cast<size_t>(1 + i % 5), 'x') << '\n';
    out << end;
  };
  write("");
  Program program{.data = [&] {
    return data::Dataset::from_text_lines({path})
        .map([](const data::Element& line) -> data::Element {
          const auto length = static_cast<int32_t>(line[0].num_elements());
          return {Tensor::full(DType::kF32, Shape{6}, length), Tensor::scalar(length % 5)};
        })
        .shuffle(10)
        .batch(16);
  }};
  program.backup.exact = true;
  const std::string want = run_process(program, undisturbed.path());
  EXPECT_THROW(run_process(program, directory.path(), 7), Killed);
  write("xx\n");
  expect_error(Code::kFailedPrecondition, {"lines.txt 283\" here", "lines.txt 280\" there"},
               [&] { run_process(program, directory.path()); });
  write("");
  EXPECT_EQ(run_process(program, directory.path()), want);
}

TEST(ResumeTest, ASaveThatFailsEndsTrainingOrIsSaidAsTheUserChose) {
  const TemporaryDirectory undisturbed;
  const std::string want = run_process({}, undisturbed.path());
  for (const bool asynchronous : {false, true})
    for (const bool keep_going : {false, true}) {
      const TemporaryDirectory directory;
      const std::string path = directory.path("backup");
      Program program;
      program.backup.asynchronous = asynchronous;
      program.backup.keep_going = keep_going;
      program.callbacks = {LambdaCallback({.on_train_begin = [&] {
        std::ofstream(path) << "a file where the directory is to be";
      }})};
      if (keep_going)
        EXPECT_EQ(run_process(program, path), want);
      else
        EXPECT_THROW(run_process(program, path), Error);
    }
}

TEST(ResumeTest, AProcessThatIsAskedToEndSavesAndGoesOn) {
  const TemporaryDirectory undisturbed;
  const std::string want = run_process({}, undisturbed.path());
  for (const int signal : {SIGTERM, SIGUSR1}) {
    const TemporaryDirectory directory;
    Program program;
    program.backup.save_freq = 1000;
    program.backup.save_before_preemption = true;
    program.callbacks = {LambdaCallback({.on_train_batch_end = [&](int64_t batch, const Logs&) {
      if (batch == 2) raise(signal);
    }})};
    int starts = 1;
    std::string got;
    for (; got.empty() && starts < 20; ++starts) {
      try {
        got = run_process(program, directory.path());
      } catch (const Preempted& preempted) {
        EXPECT_THAT(preempted.what(), HasSubstr("saved " + directory.path()));
      }
    }
    EXPECT_EQ(got, want);
    EXPECT_GE(starts, kEpochs - 1);
  }
}

TEST(ResumeTest, AStrategyTakesWhatBitsDependOnFromTheCheckpoint) {
  const TemporaryDirectory directory, empty;
  const distribute::Strategy three =
      distribute::MirroredStrategy({.devices = {"cpu:0"}, .num_replicas = 3});
  EXPECT_THROW(run_process({.strategy = three}, directory.path(), 4), Killed);
  set_random_seed(99);
  const auto resumed = [](const std::string& from, int replicas = 0) {
    return distribute::MirroredStrategy(
        {.devices = {"cpu:0", "cpu:1"}, .num_replicas = replicas, .resume_from = from});
  };
  EXPECT_EQ(resumed(empty.path()).num_replicas_in_sync(), 2);
  EXPECT_EQ(default_runtime().random_seed(), 99u);
  EXPECT_EQ(resumed(directory.path(), 2).num_replicas_in_sync(), 2);
  EXPECT_EQ(default_runtime().random_seed(), 3u);
  EXPECT_EQ(resumed(directory.path()).num_replicas_in_sync(), 3);
  setenv("COHORT_RESUME_FROM", directory.path().c_str(), 1);
  EXPECT_EQ(resumed("").num_replicas_in_sync(), 3);
  unsetenv("COHORT_RESUME_FROM");
}

}  // namespace
}  // namespace cohort::nn
