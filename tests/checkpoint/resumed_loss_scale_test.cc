// A dynamic loss scale goes on with the training that it belongs to.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cohort/cohort.h"
#include "cohort/nn/loss_scale.h"
#include "tests/checkpoint/support.h"

namespace cohort::nn {
namespace {

using checkpoint::TemporaryDirectory;

struct KilledHere {};

data::Dataset wave_batches() {
  Tensor x(DType::kF32, Shape{40, 4}), y(DType::kF32, Shape{40, 2});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<float>()[i] = static_cast<float>(std::sin(1.3 * static_cast<double>(i)));
  for (int64_t i = 0; i < y.num_elements(); ++i)
    y.data<float>()[i] = static_cast<float>(std::cos(0.7 * static_cast<double>(i)));
  return data::Dataset::from_tensor_slices({x, y}).batch(8);
}

/// A process that is killed after so many batches. What it ends with, in words.
std::string run_float16(const std::string& directory, int64_t killed_after) {
  set_random_seed(3);
  set_dtype_policy("mixed_float16");
  const Sequential model({Input({.shape = {4}}), Dense{.units = 6, .activation = "relu"},
                          BatchNormalization(), Dense{.units = 2}});
  set_dtype_policy("float32");
  // Many steps are skipped until the scale has fallen, and it rises again.
  model.compile({.optimizer = LossScaleOptimizer{.inner_optimizer = Adam{.learning_rate = 0.01},
                                                 .initial_scale = std::ldexp(1.0, 30),
                                                 .dynamic_growth_steps = 3},
                 .loss = "mse"});
  int64_t batches = 0;
  const LambdaCallback killer({.on_train_batch_end = [&](int64_t, const Logs&) {
    if (++batches == killed_after) throw KilledHere();
  }});
  const History history = model.fit(
      wave_batches(),
      {.epochs = 5,
       .verbose = 0,
       .callbacks = {
           BackupAndRestore({.backup_dir = directory, .save_freq = 1, .delete_checkpoint = false}),
           killer}});
  std::string text = model.fingerprint();
  for (const Variable& variable : model.optimizer()->loss_scale()->variables())
    text += fmt::format(" {} {}", variable.name(), variable.value().item<double>());
  for (const double loss : history["loss"]) text += fmt::format(" {}", loss);
  return text + fmt::format(" {} updates", model.optimizer().iterations());
}

TEST(ResumedLossScaleTest, GoesOnFromWhatItWas) {
  const TemporaryDirectory undisturbed;
  const std::string want = run_float16(undisturbed.path(), -1);
  EXPECT_EQ(want.find(" 0 updates"), std::string::npos) << want;
  EXPECT_EQ(want.find(" 25 updates"), std::string::npos) << "some are skipped: " << want;
  for (const int64_t killed : {1, 4, 5, 13, 22}) {
    const TemporaryDirectory directory;
    EXPECT_THROW(run_float16(directory.path(), killed), KilledHere);
    EXPECT_EQ(run_float16(directory.path(), -1), want) << "killed after batch " << killed;
  }
}

}  // namespace
}  // namespace cohort::nn
