#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cohort/cohort.h"

/// A convolutional network trained by Model::fit on replicas: what a strategy must not change.
namespace cohort::nn {
namespace {

distribute::Strategy replicas_on(int devices, int replicas) {
  distribute::MirroredOptions options{.num_replicas = replicas, .bytes_per_pack = 2000};
  for (int i = 0; i < devices; ++i) options.devices.push_back("cpu:" + std::to_string(i));
  return distribute::MirroredStrategy(options);
}

Tensor pattern(Shape shape) {
  Tensor t(DType::kF32, std::move(shape));
  uint32_t x = 12345;
  for (int64_t i = 0; i < t.num_elements(); ++i)
    t.data<float>()[i] =
        static_cast<float>((x = x * 1664525 + 1013904223) >> 8) / 16777216.f - 0.5f;
  return t;
}

Model make_model() {
  return Sequential(
      {Input({.shape = {8, 8, 1}}),
       Conv2D({.filters = 6, .kernel_size = 3, .padding = "same", .activation = "relu"}),
       MaxPooling2D(), Dropout({.rate = 0.2}), Flatten(), Dense({.units = 5})});
}

struct Outcome {
  std::vector<Tensor> weights;
  std::vector<double> loss, accuracy;
};

/// Two epochs over 70 examples in batches of 16: the last batch has 6 rows.
Outcome outcome_on(const distribute::Strategy& strategy, const Optimizer& optimizer) {
  set_random_seed(7);
  const Model model = strategy.scope([&] {
    const Model model = make_model();
    model.compile({.optimizer = optimizer,
                   .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                   .metrics = {"accuracy"}});
    return model;
  });
  Tensor y(DType::kI32, Shape{70});
  for (int64_t i = 0; i < 70; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i * 3 % 5);
  const History history =
      model.fit(pattern(Shape{70, 8, 8, 1}), y, {.batch_size = 16, .epochs = 2, .verbose = 0});
  return {model.get_weights(), history["loss"], history["accuracy"]};
}

double largest(const std::vector<Tensor>& weights) {
  double most = 0;
  for (const Tensor& w : weights)
    for (const float x : w.values<float>()) most = std::max(most, static_cast<double>(std::abs(x)));
  return most;
}

double largest_difference(const Outcome& a, const Outcome& b) {
  double worst = 0;
  for (size_t i = 0; i < a.weights.size(); ++i)
    for (int64_t k = 0; k < a.weights[i].num_elements(); ++k)
      worst = std::max(worst, static_cast<double>(
                                  std::abs(a.weights[i].values<float>()[static_cast<size_t>(k)] -
                                           b.weights[i].values<float>()[static_cast<size_t>(k)])));
  return worst;
}

void expect_same_bits(const Outcome& a, const Outcome& b, const std::string& what) {
  for (size_t i = 0; i < a.weights.size(); ++i)
    EXPECT_TRUE(bitwise_equal(a.weights[i], b.weights[i])) << what << ", weight " << i;
  EXPECT_EQ(a.loss, b.loss) << what;
  EXPECT_EQ(a.accuracy, b.accuracy) << what;
}

TEST(FitOnReplicasConcurrentTest, NReplicasEqualOne) {
  const auto sgd = [] { return SGD({.learning_rate = 0.05}); };
  const Outcome one = outcome_on(distribute::OneDeviceStrategy("cpu:0"), sgd());
  for (const int n : {1, 2, 3, 4}) {
    const Outcome many = outcome_on(replicas_on(n, n), sgd());
    EXPECT_LE(largest_difference(one, many), 1e-6 * largest(one.weights)) << n << " replicas";
    for (size_t e = 0; e < one.loss.size(); ++e) {
      EXPECT_NEAR(one.loss[e], many.loss[e], 1e-5);
      EXPECT_EQ(one.accuracy[e], many.accuracy[e]);
    }
  }
}

TEST(FitOnReplicasConcurrentTest, TheSameReplicasOnAnyDevicesGiveTheSameBits) {
  const auto adam = [] { return Adam({.global_clipnorm = 1.0}); };
  for (const int replicas : {3, 4}) {
    const Outcome reference = outcome_on(replicas_on(1, replicas), adam());
    for (const int devices : {1, 2, 3})
      expect_same_bits(reference, outcome_on(replicas_on(devices, replicas), adam()),
                       std::to_string(replicas) + " replicas on " + std::to_string(devices));
  }
}

TEST(FitOnReplicasConcurrentTest, TrainingTwiceGivesTheSameBits) {
  const auto adam = [] { return Adam(); };
  expect_same_bits(outcome_on(replicas_on(2, 2), adam()), outcome_on(replicas_on(2, 2), adam()),
                   "again");
}

}  // namespace
}  // namespace cohort::nn
