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

/// `program` runs in a directory, and is killed after so many batches.
template <class Program>
void expect_goes_on(const Program& program) {
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
  expect_goes_on(program);
}

/// Two models that learn from each other: each batch is two steps, and so two commits.
TEST(ResumedLoopTest, TwoModelsThatLearnFromEachOtherGoOn) {
  const data::Dataset batches = checkpoint::shuffled_examples();
  const auto program = [&](const std::string& directory, std::optional<int64_t> killed) {
    set_random_seed(3);
    const Model generator =
        Sequential({Input({.shape = {3}}), Dense({.units = 8, .activation = "relu"}),
                    BatchNormalization(), Dense({.units = 6})});
    const Model critic = Sequential(
        {Input({.shape = {6}}), Dense({.units = 8}), Dropout({.rate = 0.3}), Dense({.units = 1})});
    const Optimizer generators = RMSprop({.momentum = 0.5});
    const Optimizer critics = Adam({.learning_rate = 0.01, .gradient_accumulation_steps = 2});
    const auto opinion_of_made = [&] {
      return critic(generator(ops::random_normal({16, 3}, DType::kF32), {.training = true}),
                    {.training = true});
    };
    const auto update = [](Value loss, const Model& model, const Optimizer& optimizer) {
      const std::vector<Variable> weights = model.trainable_weights();
      optimizer.apply_gradients(zip(gradients(loss, weights), weights));
      return loss;
    };
    const Function criticise = function([&](Value real) {
      const Value of_real = critic(real, {.training = true}), of_made = opinion_of_made();
      return update(
          ops::reduce_mean(ops::square(of_real - 1)) + ops::reduce_mean(ops::square(of_made)),
          critic, critics);
    });
    const Function imitate = function([&](Value) {
      return update(ops::reduce_mean(ops::square(opinion_of_made() - 1)), generator, generators);
    });
    int64_t epoch = 0;
    double sum = 0;
    data::Position at = batches.iterate({.seed = 3}).position();
    CheckpointManager manager(Checkpoint({{"generator", generator},
                                          {"critic", critic},
                                          {"generators", generators},
                                          {"critics", critics},
                                          {"loop", resumable(epoch, sum, at, criticise, imitate)}}),
                              {.directory = directory});
    if (const auto restored = manager.restore_or_initialize()) restored->expect_partial();
    for (int64_t done = 0; epoch < 3; ++epoch) {
      data::Iterator iterator = batches.resume(at);
      while (const data::Element* element = iterator.next()) {
        for (const Function& step : {criticise, imitate})
          sum += step((*element)[0])[0].item<float>();
        at = iterator.position();
        manager.save();
        if (killed && ++done == *killed) throw LoopKilled();
      }
      at = iterator.position();
    }
    EXPECT_EQ(generators->iterations().value().item<int64_t>(), 3 * kLoopBatches);
    return fmt::format("{} {} {}", generator.fingerprint(), critic.fingerprint(), sum);
  };
  expect_goes_on(program);
}

}  // namespace
}  // namespace cohort::nn
