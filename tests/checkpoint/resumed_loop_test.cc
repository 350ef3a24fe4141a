#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cohort/cohort.h"
#include "tests/checkpoint/support.h"

namespace cohort::nn {
namespace {

using checkpoint::TemporaryDirectory;

constexpr int64_t kLoopBatches = 5;

/// The process is killed.
struct LoopKilled {};

Model make_loop_model() {
  Sequential model({Input({.shape = {6}}), Dense({.units = 8, .activation = "relu"}),
                    Dropout({.rate = 0.3}), Dense({.units = 5})});
  model.compile(
      {.optimizer = Adam(), .loss = SparseCategoricalCrossentropy({.from_logits = true})});
  return model;
}

TEST(ResumedLoopTest, ALoopOfOnesOwnGoesOn) {
  const data::Dataset batches = checkpoint::shuffled_examples();
  const auto program = [&](const std::string& directory, std::optional<int64_t> killed) {
    set_random_seed(3);
    const Model model = make_loop_model();
    Variable noise_sum(Tensor::scalar(0.0f));
    const Function noise([&](std::span<const Value>) -> std::vector<Value> {
      ops::assign_add(noise_sum.shared(),
                      ops::reduce_sum(ops::random_uniform(Shape{4}, DType::kF32)));
      return {};
    });
    int64_t epoch = 0, batch = 0;
    double sum = 0;
    data::Position at = batches.iterate({.seed = 3}).position();
    CheckpointManager manager(Checkpoint({{"model", model},
                                          {"noise", noise_sum},
                                          {"loop", resumable(epoch, batch, sum, at, noise)}}),
                              {.directory = directory});
    if (const auto restored = manager.restore_or_initialize()) restored->expect_partial();
    for (int64_t done = 0; epoch < 3; ++epoch) {
      data::Iterator iterator = batches.resume(at);
      while (const data::Element* element = iterator.next()) {
        sum += model.train_on_batch((*element)[0], (*element)[1])["loss"];
        noise(std::span<const Tensor>());
        ++batch;
        at = iterator.position();
        manager.save();
        if (killed && ++done == *killed) throw LoopKilled();
      }
      at = iterator.position();
    }
    EXPECT_EQ(batch, 3 * kLoopBatches);
    return fmt::format("{} {} {}", model.fingerprint(), sum, noise_sum.value().item<float>());
  };
  const TemporaryDirectory undisturbed;
  const std::string want = program(undisturbed.path(), {});
  for (const int64_t killed : {1, 4, 5, 9}) {
    const TemporaryDirectory directory;
    for (int start = 0; start < 3; ++start) {
      try {
        program(directory.path(), killed);
      } catch (const LoopKilled&) {
      }
    }
    EXPECT_EQ(program(directory.path(), {}), want) << killed;
  }
}

}  // namespace
}  // namespace cohort::nn
