// A model with two inputs, a shared layer and two outputs, each with its own loss and metric.
#include <cstdio>

#include "cohort/cohort.h"

namespace nn = cohort::nn;
using cohort::Tensor;

namespace {

/// Pairs of points in the plane; how far apart they are, and whether their signs agree.
struct Pairs {
  Tensor left, right, near, distance;
};

Pairs make_pairs(int64_t count) {
  Pairs pairs{Tensor(cohort::DType::kF32, {count, 2}), Tensor(cohort::DType::kF32, {count, 2}),
              Tensor(cohort::DType::kI32, {count}), Tensor(cohort::DType::kF32, {count, 1})};
  uint32_t state = 1;
  const auto random = [&] {
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
  };
  for (int64_t i = 0; i < count; ++i) {
    float* a = pairs.left.data<float>() + 2 * i;
    float* b = pairs.right.data<float>() + 2 * i;
    a[0] = random(), a[1] = random(), b[0] = random(), b[1] = random();
    const float dx = a[0] - b[0], dy = a[1] - b[1];
    pairs.distance.data<float>()[i] = dx * dx + dy * dy;
    pairs.near.data<int32_t>()[i] = dx * dx + dy * dy < 1 ? 1 : 0;
  }
  return pairs;
}

nn::Model make_model() {
  const auto left = nn::Input({.shape = {2}, .name = "left"});
  const auto right = nn::Input({.shape = {2}, .name = "right"});
  const nn::Layer embed = nn::Dense{.units = 16, .activation = "tanh", .name = "embed"};  // shared
  const auto both = nn::Concatenate{}({embed(left), embed(right)});
  const auto hidden = nn::Dense{.units = 32, .activation = "relu"}(both);
  const auto near = nn::Dense{.units = 2, .name = "near"}(hidden);
  const auto distance = nn::Dense{.units = 1, .name = "distance"}(hidden);
  return nn::Model({.inputs = {left, right}, .outputs = {near, distance}, .name = "pairs"});
}

}  // namespace

int main() {
  return cohort::run_program("functional", [] {
    nn::set_random_seed(1);
    const nn::Model model = make_model();
    model.summary();
    model.compile({.optimizer = nn::Adam({.learning_rate = 0.01}),
                   .loss = {{"near", nn::SparseCategoricalCrossentropy{.from_logits = true}},
                            {"distance", "mse"}},
                   .loss_weights = {{"near", 1.0}, {"distance", 0.5}},
                   .metrics = {{"near", {"accuracy"}}, {"distance", {"mse"}}}});
    const Pairs train = make_pairs(4000), test = make_pairs(500);
    model.fit({train.left, train.right}, {train.near, train.distance},
              {.epochs = 5, .callbacks = {nn::EarlyStopping{.monitor = "loss", .patience = 2}}});
    const nn::Logs result =
        model.evaluate({test.left, test.right}, {test.near, test.distance}, {.verbose = 0});
    std::printf("test accuracy: %.4f\n", result["near_accuracy"]);
    return 0;
  });
}
