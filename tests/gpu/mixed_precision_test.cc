// Mixed policies, loss scales and constraints on a GPU, beside the CPU.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cohort/distribute/mirrored_strategy.h"
#include "cohort/nn/loss_scale.h"
#include "cohort/nn/nn.h"
#include "tests/gpu/device_case.h"

namespace cohort::testing {
namespace {

using GpuMixedPrecisionTest = GpuTest;

constexpr int64_t kMixedRows = 32, kMixedBatch = 16;

struct MixedOutcome {
  std::vector<double> losses;
  std::vector<Tensor> weights;
  double scale = 0;
  int64_t updates = 0;
};

nn::Model mixed_cnn() {
  return nn::Sequential(
      {nn::Input({.shape = {6, 6, 3}}),
       nn::Conv2D{.filters = 8, .kernel_size = 3, .padding = "same", .activation = "relu"},
       nn::BatchNormalization(), nn::MaxPooling2D(),
       nn::Conv2D{.filters = 16, .kernel_size = 3, .strides = 2, .padding = "same"},
       nn::BatchNormalization{.synchronized = true}, nn::Activation{.activation = "relu"},
       nn::Dropout{.rate = 0.1}, nn::GlobalAveragePooling2D(),
       nn::Dense{.units = 24,
                 .activation = "tanh",
                 .kernel_constraint = nn::constraints::MaxNorm{.max_value = 0.7}},
       nn::Dense{.units = 4, .activation = "softmax", .dtype = "float32"}});
}

/// With a row of infinities in the second batch where `bad`.
MixedOutcome train_mixed(const char* policy, const std::string& device, bool bad, int epochs = 3) {
  nn::set_random_seed(11);
  nn::set_dtype_policy(policy);
  const distribute::Strategy strategy = distribute::OneDeviceStrategy(device);
  Tensor x = random_numbers(DType::kF32, Shape{kMixedRows, 6, 6, 3}, 5);
  if (bad) x.data<float>()[20 * 6 * 6 * 3 + 7] = std::numeric_limits<float>::infinity();
  const nn::Model model = strategy.scope([&] {
    const nn::Model made = mixed_cnn();
    made.compile({.optimizer = nn::SGD{.learning_rate = 0.05, .momentum = 0.9},
                  .loss = "sparse_categorical_crossentropy",
                  .metrics = {"accuracy"}});
    return made;
  });
  nn::set_dtype_policy("float32");
  const nn::History history =
      model.fit(x, random_integers({kMixedRows}, 4, 6),
                {.batch_size = kMixedBatch, .epochs = epochs, .verbose = 0, .shuffle = false});
  MixedOutcome outcome{.losses = history["loss"], .weights = model.get_weights()};
  outcome.updates = model.optimizer().iterations();
  if (const nn::LossScale* scale = model.optimizer()->loss_scale())
    outcome.scale = scale->variables()[1].value().item<double>();
  return outcome;
}

double largest_difference(const MixedOutcome& a, const MixedOutcome& b) {
  double largest = 0;
  for (size_t i = 0; i < a.weights.size(); ++i)
    for (int64_t j = 0; j < a.weights[i].num_elements(); ++j)
      largest = std::max(largest, std::fabs(static_cast<double>(a.weights[i].data<float>()[j]) -
                                            b.weights[i].data<float>()[j]));
  return largest;
}

// Numbers of 16 bits are rounded in other places, and weights drift apart: not farther from f32
// than twice as far as on the CPU. The same GPU gives the same bits.
void expect_mixed_alike(const char* policy) {
  const MixedOutcome exact = train_mixed("float32", "cpu:0", false),
                     cpu = train_mixed(policy, "cpu:0", false),
                     gpu = train_mixed(policy, "gpu:0", false),
                     again = train_mixed(policy, "gpu:0", false);
  ASSERT_EQ(cpu.weights.size(), gpu.weights.size());
  for (size_t i = 0; i < cpu.weights.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(gpu.weights[i].dtype(), DType::kF32);
    EXPECT_TRUE(bitwise_equal(gpu.weights[i], again.weights[i])) << "trained twice";
  }
  const double of_cpu = largest_difference(cpu, exact), of_gpu = largest_difference(gpu, exact);
  EXPECT_GT(of_cpu, 0);
  EXPECT_GT(of_gpu, 0);
  EXPECT_LE(of_gpu, 2 * of_cpu);
  for (size_t i = 0; i < cpu.losses.size(); ++i)
    EXPECT_NEAR(gpu.losses[i], cpu.losses[i], 0.03 * (1 + cpu.losses[i]));
  EXPECT_EQ(gpu.scale, cpu.scale);
  EXPECT_EQ(gpu.updates, kMixedRows / kMixedBatch * 3);
}

TEST_F(GpuMixedPrecisionTest, TrainsInBFloat16AsTheCpuDoes) {
  expect_mixed_alike("mixed_bfloat16");
}
TEST_F(GpuMixedPrecisionTest, TrainsInFloat16AsTheCpuDoes) { expect_mixed_alike("mixed_float16"); }

TEST_F(GpuMixedPrecisionTest, AStepWithAnInfinityIsSkipped) {
  const MixedOutcome gpu = train_mixed("mixed_float16", "gpu:0", true);
  EXPECT_EQ(gpu.updates, (kMixedRows / kMixedBatch - 1) * 3);
  EXPECT_EQ(gpu.scale, 32768 / 8) << "three of the steps were skipped";
  for (const Tensor& weight : gpu.weights)
    for (const float value : weight.values<float>()) ASSERT_TRUE(std::isfinite(value));
  for (const double loss : gpu.losses) EXPECT_TRUE(std::isfinite(loss));
}

TEST_F(GpuMixedPrecisionTest, WeightsAreHeldToTheirConstraint) {
  const MixedOutcome gpu = train_mixed("float32", "gpu:0", false);
  const auto kernel =
      std::find_if(gpu.weights.begin(), gpu.weights.end(), [](const Tensor& weight) {
        return weight.shape() == Shape{16, 24};
      });
  ASSERT_NE(kernel, gpu.weights.end());
  for (int64_t column = 0; column < 24; ++column) {
    double squares = 0;
    for (int64_t row = 0; row < 16; ++row) {
      const double value = kernel->data<float>()[row * 24 + column];
      squares += value * value;
    }
    EXPECT_LE(std::sqrt(squares), 0.7 + 1e-5);
  }
  const MixedOutcome cpu = train_mixed("float32", "cpu:0", false);
  for (size_t i = 0; i < cpu.weights.size(); ++i)
    expect_close(gpu.weights[i], cpu.weights[i], 2e-3);
}

TEST_F(GpuMixedPrecisionTest, LogicalDevicesSkipTogether) {
  if (gpus().size() < 2) GTEST_SKIP() << "needs 2 GPUs or logical devices; here: " << gpus().size();
  nn::set_random_seed(11);
  nn::set_dtype_policy("mixed_float16");
  const distribute::Strategy strategy =
      distribute::MirroredStrategy({.devices = {"gpu:0", "gpu:1"}});
  Tensor x = random_numbers(DType::kF32, Shape{kMixedRows, 6, 6, 3}, 5);
  x.data<float>()[20 * 6 * 6 * 3 + 7] = std::numeric_limits<float>::infinity();
  const nn::Model model = strategy.scope([] {
    const nn::Model made = mixed_cnn();
    made.compile({.optimizer = "adam", .loss = "sparse_categorical_crossentropy"});
    return made;
  });
  nn::set_dtype_policy("float32");
  model.fit(x, random_integers({kMixedRows}, 4, 6),
            {.batch_size = kMixedBatch, .verbose = 0, .shuffle = false});
  EXPECT_EQ(model.optimizer().iterations(), kMixedRows / kMixedBatch - 1);
  EXPECT_EQ(model.optimizer()->loss_scale()->variables()[1].value().item<double>(), 16384);
}

}  // namespace
}  // namespace cohort::testing
