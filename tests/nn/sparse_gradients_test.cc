// Tables that are trained through gather alone: embeddings.
#include "cohort/core/ops/slices.h"
#include "tests/nn/sparse_support.h"
#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

using testing::expect_error;
using testing::Golden;

std::vector<std::pair<std::string, TableSetting>> settings() {
  return {{"SGD", {SGD({.learning_rate = 0.5})}},
          {"momentum", {SGD({.learning_rate = 0.1, .momentum = 0.9})}},
          {"clipped", {SGD({.learning_rate = 0.5, .global_clipnorm = 0.1})}},
          {"clipped each", {SGD({.learning_rate = 0.5, .clipnorm = 0.05})}},
          {"clipped values", {SGD({.learning_rate = 0.5, .clipvalue = 0.01})}},
          {"accumulated", {SGD({.learning_rate = 0.5, .gradient_accumulation_steps = 2})}},
          {"decay", {SGD({.learning_rate = 0.5, .weight_decay = 0.01})}},
          {"Adam", {Adam({.learning_rate = 0.01})}},
          {"Adagrad", {Adagrad({.learning_rate = 0.1})}}};
}

TEST(SparseGradientsConcurrentTest, NReplicasEqualOneAndADenseTable) {
  for (size_t i = 0; i < settings().size(); ++i) {
    const auto [name, setting] = settings()[i];
    const SparseOutcome one = train_table(distribute::OneDeviceStrategy("cpu:0"), setting);
    for (const int n : {2, 3, 4})
      expect_close_tables(train_table(sparse_mirrored(n, n), settings()[i].second), one, 2e-6,
                          name);
    TableSetting dense = settings()[i].second;
    dense.one_hot = true;
    expect_close_tables(train_table(sparse_mirrored(2, 2), dense), one, 2e-6, name + ", dense");
  }
}

TEST(SparseGradientsConcurrentTest, TheSameReplicasOnAnyDevicesGiveTheSameBits) {
  for (size_t i = 0; i < settings().size(); ++i) {
    for (const int replicas : {3, 4}) {
      const SparseOutcome reference =
          train_table(sparse_mirrored(1, replicas), settings()[i].second);
      for (const int devices : {2, 3, 4})
        if (devices <= replicas)
          expect_same_sparse_bits(
              reference, train_table(sparse_mirrored(devices, replicas), settings()[i].second),
              settings()[i].first + ", " + std::to_string(replicas) + " replicas on " +
                  std::to_string(devices));
    }
  }
}

TEST(SparseGradientsConcurrentTest, GatheringAndReducingGiveTheSameBits) {
  const auto expect_equal = [](const std::string& name, auto make) {
    const auto gathered = train_table_in_loop(sparse_mirrored(4, 4), false, make());
    const auto reduced = train_table_in_loop(sparse_mirrored(4, 4), true, make());
    for (size_t i = 0; i < gathered.size(); ++i)
      EXPECT_TRUE(bitwise_equal(gathered[i], reduced[i])) << name << ", weight " << i;
  };
  expect_equal("dense", [] { return SGD({.learning_rate = 0.5, .momentum = 0.5}); });
  expect_equal("rows", [] { return Adagrad({.learning_rate = 0.5}); });
}

TEST(SparseGradientsTest, SlicesStaySlicesWhereThatIsLess) {
  const distribute::StepRows step{.num_replicas = 4, .batch_size = 32};
  // 4 replicas * 8 rows * (16 + 4) bytes are gathered; the dense table has 2 * 16 bytes a row.
  const auto gathered = ops_of_update(SGD(), 21, step);
  EXPECT_EQ(gathered.count("AllGather"), 2u);
  EXPECT_EQ(gathered.count("AllReduce"), 0u);
  EXPECT_EQ(gathered.count("RowsUpdate"), 1u);
  EXPECT_EQ(gathered.count("SlicesToDense"), 0u);
  EXPECT_EQ(gathered.count("CombineSlices"), 1u);
  const auto reduced = ops_of_update(SGD(), 20, step);
  EXPECT_EQ(reduced.count("AllGather"), 0u);
  EXPECT_EQ(reduced.count("AllReduce"), 1u);
  EXPECT_EQ(reduced.count("ElementwiseUpdate"), 1u);
  EXPECT_EQ(reduced.count("RowsUpdate"), 0u);
}

TEST(SparseGradientsTest, TheDenseUpdateTakesTheGatheredRows) {
  const distribute::StepRows step{.num_replicas = 4, .batch_size = 32};
  for (const Optimizer& optimizer : {Optimizer(Adam()), Optimizer(SGD({.momentum = 0.9})),
                                     Optimizer(SGD({.weight_decay = 0.1}))}) {
    const auto ops = ops_of_update(optimizer, 1000, step);
    EXPECT_EQ(ops.count("AllGather"), 2u);
    EXPECT_EQ(ops.count("SlicesToDense"), 1u);
    EXPECT_EQ(ops.count("RowsUpdate"), 0u);
  }
}

TEST(SparseGradientsTest, OneReplicaGathersNothing) {
  const auto ops = ops_of_update(SGD(), 1000, {});
  EXPECT_EQ(ops.count("AllGather"), 0u);
  EXPECT_EQ(ops.count("CombineSlices"), 1u);
  EXPECT_EQ(ops.count("RowsUpdate"), 1u);
}

TEST(SparseGradientsTest, WithoutAKnownBatchSizeTheTableIsReduced) {
  const auto ops = ops_of_update(SGD(), 1000, {.num_replicas = 4});
  EXPECT_EQ(ops.count("AllGather"), 0u);
  EXPECT_EQ(ops.count("AllReduce"), 1u);
}

Optimizer recorded_optimizer(const Golden& golden, const std::string& group) {
  const auto number = [&](const char* name) -> std::optional<double> {
    if (!golden.has(group + "/" + name)) return {};
    return golden.number(group + "/" + name);
  };
  const double rate = number("learning_rate").value();
  if (golden.text(group + "/optimizer") == "Adam")
    return Adam({.learning_rate = rate, .amsgrad = number("amsgrad").value_or(0) != 0});
  if (golden.text(group + "/optimizer") == "RMSprop") return RMSprop({.learning_rate = rate});
  if (golden.text(group + "/optimizer") == "Adagrad")
    return Adagrad({.learning_rate = rate,
                    .initial_accumulator_value = number("initial_accumulator_value").value_or(0.1),
                    .weight_decay = number("weight_decay")});
  return SGD({.learning_rate = rate,
              .momentum = number("momentum").value_or(0),
              .weight_decay = number("weight_decay"),
              .clipnorm = number("clipnorm"),
              .clipvalue = number("clipvalue"),
              .global_clipnorm = number("global_clipnorm")});
}

TEST(SparseUpdatesGoldenTest, TablesFollowKeras) {
  const Golden golden("sparse_updates");
  for (const std::string& name : golden.cases("sparse")) {
    const std::string group = "sparse/" + name;
    const Optimizer optimizer = recorded_optimizer(golden, group);
    const Variable table(golden["start/table"], "table"), b(golden["start/b"], "b");
    const Function step([&](std::span<const Value> in) {
      optimizer.apply({Slices{in[0], in[1], table.shape()}, in[2]}, {table, b});
      return std::vector<Value>{};
    });
    const std::string kind = golden.number(group + "/duplicates") != 0 ? "duplicates" : "unique";
    for (int i = 1; i <= 8; ++i) {
      const std::string number = std::to_string(i), at = kind + number;
      const std::vector<Tensor> inputs{golden[at + "/indices"], golden[at + "/values"],
                                       golden[at + "/b"]};
      step(std::span<const Tensor>(inputs));
      if (!golden.has(group + "/table" + number)) continue;
      expect_near(table.value(), golden[group + "/table" + number], 2e-6,
                  group + " table" + number);
      expect_near(b.value(), golden[group + "/b_after" + number], 2e-6, group + " b" + number);
    }
  }
}

TEST(EmbeddingTest, TakesRowsOfItsTable) {
  Layer layer = Embedding{.input_dim = 3, .output_dim = 2, .embeddings_initializer = "ones"};
  layer.build({{DType::kI32, Shape{batch_dim(), 2}}});
  layer.set_weights({Tensor::from({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}, Shape{3, 2})});
  EXPECT_EQ(layer.weights()[0].shape(), (Shape{3, 2}));
  for (const Tensor& x :
       {Tensor::from<int32_t>({2, 0}, Shape{1, 2}), Tensor::from({2.9f, 0.f}, Shape{1, 2})})
    EXPECT_EQ(
        numbers(run([&](std::span<const Value> in) { return std::vector<Value>{layer(in[0])}; },
                    {x})[0]),
        (std::vector<double>{5, 6, 1, 2}));
}

TEST(EmbeddingTest, RefusesWhatItCannotDo) {
  expect_error(Code::kInvalidArgument, {"got input_dim 0"},
               [] { const Layer layer = Embedding{.input_dim = 0, .output_dim = 2}; });
  const Layer layer = Embedding{.input_dim = 3, .output_dim = 2};
  expect_error(Code::kOutOfRange, {"got index 3 at position 0; want 0 to 2"}, [&] {
    run([&](std::span<const Value> in) { return std::vector<Value>{layer(in[0])}; },
        {Tensor::from<int32_t>({3})});
  });
}

}  // namespace
}  // namespace cohort::nn
