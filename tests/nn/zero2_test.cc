// Sharded sums of gradients: bits are those of the replicated run.
#include "tests/nn/sharded_support.h"

namespace cohort::nn::sharded {
namespace {

/// Each way to change gradients, with an optimizer without slots and one with two.
const Case kChanges[] = {
    {"sgd", [] { return Optimizer(SGD({.learning_rate = 0.1})); }},
    {"adam", [] { return Optimizer(Adam({.learning_rate = 0.01})); }},
    {"sgd_clipvalue", [] { return Optimizer(SGD({.learning_rate = 0.1, .clipvalue = 1e-2})); }},
    {"adam_clipvalue", [] { return Optimizer(Adam({.learning_rate = 0.01, .clipvalue = 1e-3})); }},
    {"sgd_clipnorm", [] { return Optimizer(SGD({.learning_rate = 0.1, .clipnorm = 0.02})); }},
    {"adam_clipnorm", [] { return Optimizer(Adam({.learning_rate = 0.01, .clipnorm = 0.02})); }},
    {"sgd_global_clipnorm",
     [] { return Optimizer(SGD({.learning_rate = 0.1, .global_clipnorm = 0.05})); }},
    {"adam_global_clipnorm",
     [] { return Optimizer(Adam({.learning_rate = 0.01, .global_clipnorm = 0.05})); }},
    {"sgd_accumulation",
     [] { return Optimizer(SGD({.learning_rate = 0.1, .gradient_accumulation_steps = 3})); }},
    {"adam_accumulation",
     [] { return Optimizer(Adam({.learning_rate = 0.01, .gradient_accumulation_steps = 3})); }},
    {"sgd_all",
     [] {
       return Optimizer(SGD({.learning_rate = 0.1,
                             .momentum = 0.9,
                             .global_clipnorm = 0.05,
                             .gradient_accumulation_steps = 2}));
     }},
    {"adam_all",
     [] {
       return Optimizer(Adam({.learning_rate = 0.01,
                              .clipnorm = 0.02,
                              .use_ema = true,
                              .gradient_accumulation_steps = 2}));
     }},
};

class Zero2ConcurrentTest : public ::testing::TestWithParam<Case> {
 protected:
  /// The bits of the replicated run, whatever number of devices carries the replicas.
  static void expect_bits_of_replicated(int replicas, const std::vector<int>& devices) {
    const auto run = [&](int count, Sharding sharding) {
      return trained(mirrored(count, sharding, kPack, replicas), GetParam().make());
    };
    const std::vector<Tensor> want = run(1, Sharding::kNone);
    for (const int count : devices)
      expect_same_bits(
          run(count, Sharding::kZero2), want,
          std::to_string(replicas) + " replicas on " + std::to_string(count) + " devices");
  }
};
INSTANTIATE_TEST_SUITE_P(Optimizers, Zero2ConcurrentTest, ::testing::ValuesIn(kChanges), name_of);

TEST_P(Zero2ConcurrentTest, OneReplicaOnEachDevice) {
  for (const int devices : {2, 3, 4}) expect_bits_of_replicated(devices, {devices});
}

/// Of 6 replicas two devices have three each, and four cannot have as many each.
TEST_P(Zero2ConcurrentTest, SixReplicasInTurn) { expect_bits_of_replicated(6, {1, 2, 3, 4}); }

TEST_P(Zero2ConcurrentTest, EightReplicasInTurn) { expect_bits_of_replicated(8, {1, 2, 3, 4}); }

/// What every replica makes of a sum over all of them begins a segment of its own, between turns.
TEST(Zero2Test, StatisticsOfAllReplicasCutTheTurns) {
  const auto run = [](int devices, Sharding sharding) {
    set_random_seed(3);
    const Model model = mirrored(devices, sharding, kPack, 8).scope([] {
      const Model model = Sequential(
          {Input({.shape = {20}}), Dense({.units = 300}),
           BatchNormalization({.synchronized = true}), Dense({.units = 40, .activation = "tanh"}),
           BatchNormalization({.synchronized = true}), Dense({.units = 3})});
      model.compile({.optimizer = Adam({.learning_rate = 0.01, .global_clipnorm = 0.05}),
                     .loss = SparseCategoricalCrossentropy({.from_logits = true})});
      return model;
    });
    model.fit(batches(), {.epochs = 2, .verbose = 0});
    return model.get_weights();
  };
  const std::vector<Tensor> want = run(1, Sharding::kNone);
  for (const int devices : {2, 4})
    expect_same_bits(run(devices, Sharding::kZero2), want, std::to_string(devices) + " devices");
}

/// A replica may fail while others wait for what it gives in that turn.
TEST(Zero2Test, BadDataInAnyTurnLeavesEverythingAndGoodStepsFollow) {
  for (const int devices : {2, 4}) {
    const Model model = make_model(mirrored(devices, Sharding::kZero2, kPack, 8),
                                   Adam({.learning_rate = 0.01, .global_clipnorm = 0.05}));
    const Tensor x = Tensor::full(DType::kF32, Shape{16, 20}, 0.5);
    const auto labels = [](int64_t bad) {
      Tensor y(DType::kI32, {16});
      for (int64_t i = 0; i < 16; ++i) y.data<int32_t>()[i] = i == bad ? 99 : i % 3;
      return y;
    };
    for (const int64_t bad : {0, 3, 9, 15}) {
      model.train_on_batch(x, labels(-1));
      const std::vector<Tensor> before = model.get_weights();
      EXPECT_THROW(model.train_on_batch(x, labels(bad)), Error) << "row " << bad;
      expect_same_bits(model.get_weights(), before, "after row " + std::to_string(bad));
    }
    const std::vector<Tensor> before = model.get_weights();
    model.train_on_batch(x, labels(-1));
    EXPECT_FALSE(bitwise_equal(model.get_weights()[0], before[0]));
  }
}

/// Rows of a table that each replica has looked up are gathered in every turn.
TEST(Zero2Test, RowsOfATableComeInTheOrderOfReplicas) {
  const auto run = [](int devices, Sharding sharding) {
    set_random_seed(3);
    const Model model = mirrored(devices, sharding, kPack, 8).scope([] {
      const Model model = Sequential({Input({.shape = {2}, .dtype = DType::kI32}),
                                      Embedding({.input_dim = 3000, .output_dim = 6}), Flatten(),
                                      Dense({.units = 3})});
      model.compile({.optimizer = SGD({.learning_rate = 0.1}),
                     .loss = SparseCategoricalCrossentropy({.from_logits = true})});
      return model;
    });
    Tensor x(DType::kI32, {64, 2}), y(DType::kI32, {64});
    for (int64_t i = 0; i < x.num_elements(); ++i)
      x.data<int32_t>()[i] = static_cast<int32_t>(i * i * 7919 % 11);
    for (int64_t i = 0; i < 64; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i % 3);
    model.fit(data::Dataset::from_tensor_slices({x, y}).batch(16), {.epochs = 3, .verbose = 0});
    return model.get_weights();
  };
  const std::vector<Tensor> want = run(1, Sharding::kNone);
  for (const int devices : {2, 4})
    expect_same_bits(run(devices, Sharding::kZero2), want, std::to_string(devices) + " devices");
}

}  // namespace
}  // namespace cohort::nn::sharded
