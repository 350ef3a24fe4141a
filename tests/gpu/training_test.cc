// Small models trained on the CPU and on the GPU from the same seed: the same initial values, the
// same dropout, so nearly the same weights; and on the GPU twice, so exactly the same.
#include "cohort/distribute/mirrored_strategy.h"
#include "cohort/nn/nn.h"
#include "tests/gpu/device_case.h"

namespace cohort::testing {
namespace {

using GpuTrainingTest = GpuTest;

struct Outcome {
  std::vector<double> losses;
  std::vector<Tensor> weights;
};

struct Recipe {
  std::vector<nn::Layer> (*layers)();
  nn::Optimizer (*optimizer)();
  Shape input;
};

// 50 rows in batches of 16: the last one has 2.
Outcome train(const Recipe& recipe, const std::string& device) {
  nn::set_random_seed(11);
  const distribute::Strategy strategy = distribute::OneDeviceStrategy(device);
  const Tensor x = random_numbers(DType::kF32, Shape{50} + recipe.input, 5);
  const Tensor y = random_integers({50}, 4, 6);
  const nn::Model model = strategy.scope([&] {
    const nn::Sequential model(recipe.layers());
    model.compile({.optimizer = recipe.optimizer(),
                   .loss = nn::SparseCategoricalCrossentropy({.from_logits = true})});
    return model;
  });
  const nn::History history =
      model.fit(x, y, {.batch_size = 16, .epochs = 4, .verbose = 0, .shuffle = false});
  Outcome outcome;
  for (const auto& [name, values] : history.history())
    if (name == "loss") outcome.losses = values;
  outcome.weights = model.get_weights();
  return outcome;
}

void expect_alike(const Recipe& recipe, double tolerance) {
  const Outcome cpu = train(recipe, "cpu:0");
  const Outcome gpu = train(recipe, "gpu:0");
  const Outcome again = train(recipe, "gpu:0");
  ASSERT_EQ(cpu.weights.size(), gpu.weights.size());
  for (size_t i = 0; i < cpu.weights.size(); ++i) {
    SCOPED_TRACE(i);
    expect_close(gpu.weights[i], cpu.weights[i], tolerance);
    EXPECT_TRUE(bitwise_equal(gpu.weights[i], again.weights[i])) << "trained twice";
  }
  ASSERT_EQ(cpu.losses.size(), gpu.losses.size());
  for (size_t i = 0; i < cpu.losses.size(); ++i)
    EXPECT_NEAR(gpu.losses[i], cpu.losses[i], tolerance * (1 + cpu.losses[i]));
  EXPECT_EQ(gpu.losses, again.losses);
  EXPECT_LT(gpu.losses.back(), gpu.losses.front());
}

std::vector<nn::Layer> mlp() {
  return {nn::Input({.shape = {20}}), nn::Dense({.units = 33, .activation = "relu"}),
          nn::Dropout({.rate = 0.2}), nn::Dense({.units = 4})};
}

std::vector<nn::Layer> cnn() {
  return {nn::Input({.shape = {9, 9, 2}}),
          nn::Conv2D({.filters = 8, .kernel_size = 3, .padding = "same", .activation = "relu"}),
          nn::MaxPooling2D(),
          nn::BatchNormalization(),
          nn::Conv2D({.filters = 6, .kernel_size = 3, .strides = 2, .padding = "same"}),
          nn::Flatten(),
          nn::Dense({.units = 4})};
}

TEST_F(GpuTrainingTest, AnMlpWithAdam) {
  expect_alike({mlp, [] { return nn::Optimizer(nn::Adam({.learning_rate = 1e-2})); }, {20}}, 2e-3);
}

TEST_F(GpuTrainingTest, AnMlpWithMomentum) {
  expect_alike(
      {mlp,
       [] {
         return nn::Optimizer(nn::SGD({.learning_rate = 0.05, .momentum = 0.9, .nesterov = true}));
       },
       {20}},
      1e-4);
}

TEST_F(GpuTrainingTest, AnMlpWithRmspropAndAverages) {
  expect_alike({mlp,
                [] {
                  return nn::Optimizer(nn::RMSprop{.learning_rate = 3e-3,
                                                   .momentum = 0.5,
                                                   .centered = true,
                                                   .weight_decay = 0.01,
                                                   .use_ema = true,
                                                   .ema_momentum = 0.5});
                },
                {20}},
               2e-3);
}

TEST_F(GpuTrainingTest, AnMlpWithLamb) {
  expect_alike({mlp, [] { return nn::Optimizer(nn::Lamb{.learning_rate = 1e-2}); }, {20}}, 2e-3);
}

TEST_F(GpuTrainingTest, AConvolutionalNetworkWithSgd) {
  expect_alike({cnn, [] { return nn::Optimizer(nn::SGD({.learning_rate = 0.02})); }, {9, 9, 2}},
               1e-3);
}

TEST_F(GpuTrainingTest, MirroredOverAllGpusEqualsOneGpu) {
  if (gpus().size() < 2) GTEST_SKIP() << "needs 2 GPUs; here: " << gpus().size();
  const auto train_with = [](const distribute::Strategy& strategy) {
    nn::set_random_seed(11);
    const nn::Model model = strategy.scope([] {
      const nn::Sequential model(mlp());
      model.compile({.optimizer = nn::SGD({.learning_rate = 0.05}),
                     .loss = nn::SparseCategoricalCrossentropy({.from_logits = true})});
      return model;
    });
    model.fit(random_numbers(DType::kF32, {50, 20}, 5), random_integers({50}, 4, 6),
              {.batch_size = 16, .epochs = 4, .verbose = 0, .shuffle = false});
    return model.get_weights();
  };
  const std::vector<Tensor> one = train_with(distribute::OneDeviceStrategy("gpu:0"));
  const std::vector<Tensor> all = train_with(distribute::MirroredStrategy());
  for (size_t i = 0; i < one.size(); ++i) expect_close(all[i], one[i], 1e-5);
}

}  // namespace
}  // namespace cohort::testing
