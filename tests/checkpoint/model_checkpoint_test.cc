#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "cohort/cohort.h"
#include "tests/checkpoint/support.h"
#include "tests/support/built_with.h"
#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

using checkpoint::TemporaryDirectory;
using ::testing::ElementsAre;
using testing::expect_error;

/// Two batches an epoch; the loss falls.
data::Dataset line() {
  return data::Dataset::from_tensor_slices({Tensor::from<float>({1, 2, 3, 4}, Shape{4, 1}),
                                            Tensor::from<float>({2, 4, 6, 8}, Shape{4, 1})})
      .batch(2);
}

Model make_line_model() {
  set_random_seed(1);
  Sequential model({Input({.shape = {1}}), Dense({.units = 1})});
  model.compile({.optimizer = SGD({.learning_rate = 0.01}), .loss = "mse"});
  return model;
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

void train_with(const Model& model, const ModelCheckpoint& options, int64_t epochs = 3) {
  model.fit(line(), {.epochs = epochs, .verbose = 0, .callbacks = {options}});
}

TEST(ModelCheckpointTest, SavesWhatTheModelIsAfterEachEpoch) {
  const TemporaryDirectory directory;
  const Model model = make_line_model();
  train_with(model, {.filepath = directory.path("at-{epoch:02d}")});
  EXPECT_THAT(names_in(directory.path()), ElementsAre("at-01", "at-02", "at-03"));
  const Model again = make_line_model();
  Checkpoint({{"model", again}}).restore(directory.path("at-03")).expect_partial();
  EXPECT_EQ(again.fingerprint(), model.fingerprint());
}

TEST(ModelCheckpointTest, APathWithoutNamesHoldsTheLatest) {
  const TemporaryDirectory directory;
  train_with(make_line_model(), {.filepath = directory.path("latest")});
  EXPECT_THAT(names_in(directory.path("latest")), ElementsAre("step-000000000003"));
}

TEST(ModelCheckpointTest, CountsBatchesAcrossEpochs) {
  const TemporaryDirectory directory;
  train_with(make_line_model(), {.filepath = directory.path("{epoch}-{batch}"), .save_freq = 3}, 4);
  EXPECT_THAT(names_in(directory.path()), ElementsAre("2-1", "3-2"));
}

TEST(ModelCheckpointTest, SavesTheBestAlone) {
  const TemporaryDirectory better, worse, known;
  const ModelCheckpoint options{.monitor = "loss", .save_best_only = true, .mode = "min"};
  const auto at = [&](const TemporaryDirectory& directory, const char* mode,
                      std::optional<double> threshold) {
    ModelCheckpoint result = options;
    result.filepath = directory.path("{epoch}-{loss:.0f}");
    result.mode = mode;
    result.initial_value_threshold = threshold;
    return result;
  };
  train_with(make_line_model(), at(better, "min", {}));
  EXPECT_EQ(names_in(better.path()).size(), 3u);
  train_with(make_line_model(), at(worse, "max", {}));
  ASSERT_EQ(names_in(worse.path()).size(), 1u) << "the first is the largest";
  EXPECT_EQ(names_in(worse.path())[0][0], '1');
  train_with(make_line_model(), at(known, "min", 0.0));
  EXPECT_TRUE(names_in(known.path()).empty());
}

TEST(ModelCheckpointTest, WeightsOfEachEpochGoIntoFilesAsKerasHasThem) {
  if (!testing::built_with::hdf5) GTEST_SKIP() << "this build has no HDF5";
  const TemporaryDirectory directory;
  const Model model = make_line_model();
  train_with(model, {.filepath = directory.path("{epoch}.weights.h5"), .save_weights_only = true});
  EXPECT_THAT(names_in(directory.path()),
              ElementsAre("1.weights.h5", "2.weights.h5", "3.weights.h5"));
  const Model again = make_line_model();
  again.load_weights(directory.path("3.weights.h5"));
  EXPECT_EQ(again.fingerprint(), model.fingerprint());
}

TEST(ModelCheckpointTest, RefusesWhatItCannotDo) {
  expect_error(Code::kUnimplemented, {"Keras' files of whole models"},
               [] { Callback(ModelCheckpoint{.filepath = "best.keras"}); });
  expect_error(Code::kUnimplemented, {"Keras' files of whole models"},
               [] { Callback(ModelCheckpoint{.filepath = "best.h5", .save_weights_only = true}); });
  expect_error(Code::kInvalidArgument, {"best.weights.h5", "save_weights_only"},
               [] { Callback(ModelCheckpoint{.filepath = "best.weights.h5"}); });
  expect_error(Code::kInvalidArgument, {"save_freq"},
               [] { Callback(ModelCheckpoint{.filepath = "a", .save_freq = "never"}); });
  expect_error(Code::kInvalidArgument, {"save_freq"},
               [] { Callback(ModelCheckpoint{.filepath = "a", .save_freq = -1}); });
  const TemporaryDirectory directory;
  expect_error(Code::kInvalidArgument, {"epoch loss"}, [&] {
    train_with(make_line_model(), {.filepath = directory.path("{val_loss:.2f}")});
  });
}

}  // namespace
}  // namespace cohort::nn
