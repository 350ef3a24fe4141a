// Updates of a table that leave the rows alone which a gradient has not.
#include "cohort/core/ops/indexing.h"
#include "tests/nn/sparse_support.h"
#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

using testing::expect_error;

/// As they are, and with rows that stay.
std::vector<std::pair<std::string, Optimizer (*)(bool lazy)>> lazy_optimizers() {
  return {
      {"Adam",
       [](bool lazy) {
         return Optimizer(Adam({.learning_rate = 0.01, .amsgrad = true, .lazy_rows = lazy}));
       }},
      {"AdamW",
       [](bool lazy) {
         return Optimizer(AdamW({.learning_rate = 0.01, .clipvalue = 0.01, .lazy_rows = lazy}));
       }},
      {"SGD",
       [](bool lazy) {
         return Optimizer(SGD({.learning_rate = 0.1,
                               .momentum = 0.9,
                               .nesterov = true,
                               .weight_decay = 0.1,
                               .lazy_rows = lazy}));
       }},
      {"RMSprop",
       [](bool lazy) {
         return Optimizer(RMSprop({.learning_rate = 0.01, .momentum = 0.5, .lazy_rows = lazy}));
       }},
      {"Adagrad",
       [](bool lazy) {
         return Optimizer(Adagrad({.learning_rate = 0.1, .weight_decay = 0.1, .lazy_rows = lazy}));
       }},
      {"Adadelta",
       [](bool lazy) { return Optimizer(Adadelta({.learning_rate = 1, .lazy_rows = lazy})); }},
      {"Adamax",
       [](bool lazy) { return Optimizer(Adamax({.learning_rate = 0.01, .lazy_rows = lazy})); }},
      {"Nadam",
       [](bool lazy) { return Optimizer(Nadam({.learning_rate = 0.01, .lazy_rows = lazy})); }},
      {"Lion",
       [](bool lazy) { return Optimizer(Lion({.learning_rate = 1e-3, .lazy_rows = lazy})); }},
      {"Ftrl",
       [](bool lazy) { return Optimizer(Ftrl({.learning_rate = 0.1, .lazy_rows = lazy})); }}};
}

distribute::Strategy sharded(distribute::Sharding sharding) {
  return distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1", "cpu:2", "cpu:3"},
                                       .num_replicas = 4,
                                       .bytes_per_pack = 2000,
                                       .sharding = sharding});
}

TEST(LazyRowsConcurrentTest, AreTheSameOnAnyReplicasAndSharded) {
  for (const auto& [name, make] : lazy_optimizers()) {
    const SparseOutcome one = train_table(distribute::OneDeviceStrategy("cpu:0"), {make(true)});
    const SparseOutcome four = train_table(sparse_mirrored(4, 4), {make(true)});
    expect_close_tables(four, one, 2e-5, name);
    for (const auto sharding : {distribute::Sharding::kZero1, distribute::Sharding::kZero2})
      expect_same_sparse_bits(train_table(sharded(sharding), {make(true)}), four,
                              name + ", sharded");
  }
}

/// Words of `words` are multiples of 12 below 480.
TEST(LazyRowsConcurrentTest, WithoutAGradientStay) {
  for (const auto& [name, make] : lazy_optimizers()) {
    const Optimizer lazy = make(true);
    const SparseOutcome outcome = train_table(sparse_mirrored(3, 3), {lazy});
    const Tensor& table = outcome.weights[0];
    size_t moved = 0;
    for (int64_t i = 0; i < table.num_elements(); ++i) {
      const float start = static_cast<float>(i * 2654435761u % 1000) / 1000 - 0.5f;
      if (i / 4 % 12 != 0)
        EXPECT_EQ(table.data<float>()[i], start) << name << ", element " << i;
      else
        moved += table.data<float>()[i] != start;
    }
    EXPECT_GT(moved, 100u) << name;
  }
}

TEST(LazyRowsConcurrentTest, GatheringAndReducingGiveTheSameBits) {
  for (const auto& [name, make] : lazy_optimizers()) {
    const auto gathered = train_table_in_loop(sparse_mirrored(4, 4), false, make(true));
    const auto reduced = train_table_in_loop(sparse_mirrored(4, 4), true, make(true));
    for (size_t i = 0; i < gathered.size(); ++i)
      EXPECT_TRUE(bitwise_equal(gathered[i], reduced[i])) << name << ", weight " << i;
  }
}

TEST(LazyRowsTest, AreKnownWhateverIsSent) {
  const Optimizer lazy = Adam{.lazy_rows = true};
  const auto gathered = ops_of_update(lazy, 1000, {.num_replicas = 4, .batch_size = 32});
  EXPECT_EQ(gathered.count("AllGather"), 2u);
  EXPECT_EQ(gathered.count("RowsUpdate"), 1u);
  const auto reduced = ops_of_update(Adam{.lazy_rows = true}, 1000, {.num_replicas = 4});
  EXPECT_EQ(reduced.count("AllGather"), 0u);
  EXPECT_EQ(reduced.count("AllReduce"), 1u);
  EXPECT_EQ(reduced.count("RowsUpdate"), 1u);
}

/// A step with gradients of the rows `rows` of a table [6, 3], by slices or as a dense tensor.
std::vector<Tensor> steps_of_rows(const Optimizer& optimizer, const std::vector<int32_t>& rows,
                                  bool dense) {
  Tensor start(DType::kF32, Shape{6, 3});
  for (int64_t i = 0; i < 18; ++i) start.data<float>()[i] = static_cast<float>(i * 7 % 5) - 1.5f;
  const Variable table(start, "table");
  const Function step([&](std::span<const Value> in) {
    const Slices slices{in[0], in[1], table.shape()};
    if (dense)
      optimizer.apply({ops::slices_to_dense(slices)}, {table});
    else
      optimizer.apply({slices}, {table});
    return std::vector<Value>{};
  });
  const auto count = static_cast<int64_t>(rows.size());
  for (int i = 0; i < 4; ++i) {
    Tensor values(DType::kF32, Shape{count, 3});
    for (int64_t k = 0; k < values.num_elements(); ++k)
      values.data<float>()[k] = static_cast<float>((k * 37 + i * 11) % 17) / 8 - 1;
    const std::vector<Tensor> inputs{Tensor::from(rows, Shape{count}), values};
    step(std::span<const Tensor>(inputs));
  }
  std::vector<Tensor> all{table.value()};
  for (const Variable& variable : optimizer.variables()) all.push_back(variable.value());
  return all;
}

TEST(LazyRowsTest, AreTheDenseUpdateWhereAllRowsHaveAGradient) {
  for (const auto& [name, make] : lazy_optimizers()) {
    const std::vector<int32_t> rows{4, 0, 3, 5, 2, 1, 3};  // one twice
    const auto lazy = steps_of_rows(make(true), rows, false);
    const auto dense = steps_of_rows(make(false), rows, true);
    ASSERT_EQ(lazy.size(), dense.size());
    for (size_t i = 0; i < dense.size(); ++i)
      EXPECT_TRUE(bitwise_equal(lazy[i], dense[i])) << name << ", variable " << i;
  }
}

/// By rows without being asked: where the result is the dense gradient's for the other rows, too.
TEST(LazyRowsTest, WhatGoesByRowsIsTheDenseUpdate) {
  const std::vector<Optimizer (*)()> optimizers{
      [] { return Optimizer(SGD({.learning_rate = 0.5})); },
      [] { return Optimizer(Adagrad({.learning_rate = 0.5})); },
      [] { return Optimizer(Adagrad({.initial_accumulator_value = 0, .clipvalue = 0.1})); }};
  for (const auto make : optimizers) {
    EXPECT_EQ(ops_of_update(make(), 1000, {}).count("RowsUpdate"), 1u);
    const auto rows = steps_of_rows(make(), {4, 0, 4}, false);
    const auto dense = steps_of_rows(make(), {4, 0, 4}, true);
    for (size_t i = 0; i < dense.size(); ++i)
      EXPECT_TRUE(bitwise_equal(rows[i], dense[i])) << "variable " << i;
  }
  const auto ops = ops_of_update(Adagrad{.initial_accumulator_value = 0, .epsilon = 0}, 1000, {});
  EXPECT_EQ(ops.count("RowsUpdate"), 0u);  // 0 / 0
}

TEST(LazyRowsTest, AreRefusedWhereEveryRowChanges) {
  expect_error(Code::kInvalidArgument, {"lamb: got lazy_rows", "norms of whole variables"},
               [] { const Optimizer lamb = Lamb{.lazy_rows = true}; });
  expect_error(Code::kInvalidArgument, {"adam: got lazy_rows and use_ema"},
               [] { const Optimizer adam = Adam{.use_ema = true, .lazy_rows = true}; });
  expect_error(Code::kInvalidArgument, {"lion: got lazy_rows and gradient_accumulation_steps"}, [] {
    const Optimizer lion = Lion{.gradient_accumulation_steps = 2, .lazy_rows = true};
  });
  const Model model =
      Sequential({Input({.shape = {3}}),
                  Embedding{.input_dim = 9, .output_dim = 2, .embeddings_constraint = "non_neg"},
                  Flatten(), Dense({.units = 1})});
  model.compile({.optimizer = Adam{.lazy_rows = true}, .loss = "mse"});
  expect_error(
      Code::kUnimplemented, {"adam: got lazy_rows, and a constraint of", "embeddings"}, [&] {
        model.fit(Tensor(DType::kI32, {4, 3}), Tensor(DType::kF32, {4, 1}), {.verbose = 0});
      });
}

}  // namespace
}  // namespace cohort::nn
