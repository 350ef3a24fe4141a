#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "cohort/core/preempted.h"
#include "tests/checkpoint/resume_program.h"
#include "tests/support/expect_error.h"

/// A call of fit that is cut off anywhere, and made again with the same arguments, ends with the
/// bits of one that was not.
namespace cohort::nn {
namespace {

using checkpoint::TemporaryDirectory;
using testing::expect_error;
using ::testing::HasSubstr;

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
