// Models whose optimizer's slots are divided over the devices of their strategy.
#pragma once

#include "cohort/distribute/mirrored_strategy.h"
#include "tests/nn/support.h"

namespace cohort::nn::sharded {

using data::Dataset;
using distribute::Sharding;
using distribute::Strategy;

inline constexpr int kReplicas = 4;
/// About two variables to a group, and groups of more than one line.
inline constexpr int64_t kPack = 24 << 10;

inline Strategy mirrored(int devices, Sharding sharding, int64_t bytes_per_pack = kPack,
                         int replicas = kReplicas) {
  distribute::MirroredOptions options{
      .num_replicas = replicas, .bytes_per_pack = bytes_per_pack, .sharding = sharding};
  for (int i = 0; i < devices; ++i) options.devices.push_back("cpu:" + std::to_string(i));
  return distribute::MirroredStrategy(options);
}

inline Dataset batches() {
  constexpr int64_t kRows = 64;
  Tensor x(DType::kF32, {kRows, 20}), y(DType::kI32, {kRows});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<float>()[i] = static_cast<float>(std::sin(1.7 * static_cast<double>(i)));
  for (int64_t i = 0; i < kRows; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i * 5 % 3);
  return Dataset::from_tensor_slices({x, y}).batch(16);
}

/// 20 -> 300 -> 40 -> 3: kernels of more than one line and of less, biases inside of lines.
inline Model make_model(const Strategy& strategy, const Optimizer& optimizer) {
  set_random_seed(3);
  return strategy.scope([&] {
    const Model model = Sequential(
        {Input({.shape = {20}}), Dense({.units = 300, .activation = "relu"}), BatchNormalization(),
         Dense({.units = 40, .activation = "tanh"}), Dropout({.rate = 0.1}), Dense({.units = 3})});
    model.compile({.optimizer = optimizer,
                   .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                   .metrics = {"accuracy"}});
    return model;
  });
}

inline std::vector<Tensor> values_of(const std::vector<Variable>& variables) {
  std::vector<Tensor> values;
  for (const Variable& variable : variables) values.push_back(variable.value());
  return values;
}

/// What 20 steps leave: weights, then the optimizer's variables.
inline std::vector<Tensor> trained(const Strategy& strategy, const Optimizer& optimizer) {
  const Model model = make_model(strategy, optimizer);
  model.fit(batches(), {.epochs = 5, .verbose = 0});
  std::vector<Tensor> all = model.get_weights();
  for (Tensor& value : values_of(optimizer.variables())) all.push_back(std::move(value));
  return all;
}

inline void expect_same_bits(const std::vector<Tensor>& got, const std::vector<Tensor>& want,
                             const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_TRUE(bitwise_equal(got[i], want[i])) << what << ", variable " << i;
}

using MakeOptimizer = Optimizer (*)();

struct Case {
  const char* name;
  MakeOptimizer make;
};
inline std::string name_of(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

}  // namespace cohort::nn::sharded
