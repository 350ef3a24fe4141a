// A training loop of one's own under MirroredStrategy: the step is traced once, run on every
// replica, and its losses are summed.
#include <cstdio>

#include "cohort/cohort.h"

namespace nn = cohort::nn;
namespace data = cohort::data;
namespace distribute = cohort::distribute;
using cohort::Tensor;
using cohort::Value;

namespace {

/// y = 3 a - 2 b + 1, 1000 times.
data::Dataset make_dataset(int64_t batch_size) {
  constexpr int64_t kCount = 1000;
  Tensor x(cohort::DType::kF32, {kCount, 2}), y(cohort::DType::kF32, {kCount, 1});
  for (int64_t i = 0; i < kCount; ++i) {
    float* row = x.data<float>() + 2 * i;
    row[0] = static_cast<float>(i % 17) / 17, row[1] = static_cast<float>(i % 23) / 23;
    y.data<float>()[i] = 3 * row[0] - 2 * row[1] + 1;
  }
  return data::Dataset::from_tensor_slices({x, y}).shuffle(kCount).batch(batch_size).prefetch();
}

void train() {
  cohort::default_runtime().set_logical_cpu_devices(2);
  const distribute::Strategy strategy = distribute::MirroredStrategy();
  const distribute::DistributedDataset batches =
      strategy.experimental_distribute_dataset(make_dataset(64));

  const auto [model, optimizer] = strategy.scope([] {
    return std::pair(nn::Sequential({nn::Input({.shape = {2}}), nn::Dense{.units = 1}}),
                     nn::Optimizer(nn::SGD{.learning_rate = 0.2}));
  });
  const cohort::Function step = cohort::function(
      [model = model, optimizer = optimizer](Value x, Value y) {
        const Value losses =
            cohort::ops::squared_difference(model(x, {.training = true}), y);  // [N, 1]
        const Value loss = nn::compute_average_loss(losses);
        const auto weights = model.trainable_weights();
        optimizer.apply_gradients(nn::zip(nn::gradients(loss, weights), weights));
        return loss;
      },
      "step");

  for (int epoch = 0; epoch < 20; ++epoch) {
    double total = 0;
    int64_t steps = 0;
    auto iterator = batches.iterate({.epoch = epoch});
    while (const distribute::DistributedElement* batch = iterator.next()) {
      const auto losses = strategy.run(step, {(*batch)[0], (*batch)[1]});
      total += strategy.reduce(distribute::ReduceOp::kSum, losses[0]).item<double>();
      ++steps;
    }
    if (epoch % 5 == 4)
      std::printf("epoch %d: loss %.6f\n", epoch + 1, total / static_cast<double>(steps));
  }
  const std::vector<Tensor> weights = model.get_weights();
  std::printf("kernel %s bias %s\n", weights[0].to_string().c_str(),
              weights[1].to_string().c_str());
}

}  // namespace

int main() {
  return cohort::run_program("custom_loop", [] {
    train();
    return 0;
  });
}
