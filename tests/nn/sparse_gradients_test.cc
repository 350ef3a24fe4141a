// Tables that are trained through gather alone: embeddings.
#include <set>

#include "cohort/cohort.h"
#include "cohort/core/ops/slices.h"
#include "cohort/core/runtime/function.h"
#include "cohort/distribute/placement/mirrored.h"
#include "tests/nn/support.h"
#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

using testing::expect_error;
using testing::Golden;

constexpr int64_t kTable = 500, kWords = 6, kExamples = 70;

distribute::Strategy sparse_mirrored(int devices, int replicas) {
  distribute::MirroredOptions options{.num_replicas = replicas, .bytes_per_pack = 2000};
  for (int i = 0; i < devices; ++i) options.devices.push_back("cpu:" + std::to_string(i));
  return distribute::MirroredStrategy(options);
}

struct Setting {
  Optimizer optimizer;
  int64_t table = kTable;
  bool one_hot = false;  ///< the same table as a matrix that one-hot rows are multiplied with
};

Model make_model(const Setting& setting) {
  const auto table = [&]() -> Layer {
    if (!setting.one_hot) return Embedding({.input_dim = setting.table, .output_dim = 4});
    return Dense({.units = 4, .use_bias = false, .kernel_initializer = "uniform"});
  };
  const Shape shape = setting.one_hot ? Shape{kWords, setting.table} : Shape{kWords};
  return Sequential({Input({.shape = shape}), table(), Flatten(), Dense({.units = 5})});
}

Tensor words(const Setting& setting) {
  Tensor x(DType::kI32, Shape{kExamples, kWords});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<int32_t>()[i] = static_cast<int32_t>(i * i * 7919 % 1009 % 40 * 12 % setting.table);
  if (!setting.one_hot) return x;
  Tensor dense(DType::kF32, Shape{kExamples, kWords, setting.table});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    dense.data<float>()[i * setting.table + x.data<int32_t>()[i]] = 1;
  return dense;
}

Tensor labels() {
  Tensor y(DType::kI32, Shape{kExamples});
  for (int64_t i = 0; i < kExamples; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i * 3 % 5);
  return y;
}

struct SparseOutcome {
  std::vector<Tensor> weights;
  std::vector<double> loss;
};

/// Two epochs in batches of 16: the last has 6 rows, so that of 4 replicas one has 2, one none.
SparseOutcome train(const distribute::Strategy& strategy, const Setting& setting) {
  set_random_seed(7);
  const Model model = strategy.scope([&] {
    const Model model = make_model(setting);
    model.compile({.optimizer = setting.optimizer,
                   .loss = SparseCategoricalCrossentropy({.from_logits = true})});
    return model;
  });
  std::vector<Tensor> start = model.get_weights();
  for (size_t i = 0; i < start.size(); ++i)
    for (int64_t k = 0; k < start[i].num_elements(); ++k)
      start[i].data<float>()[k] =
          static_cast<float>((k * 2654435761u + i * 40503u) % 1000) / 1000 - 0.5f;
  model.set_weights(start);
  const History history =
      model.fit(words(setting), labels(), {.batch_size = 16, .epochs = 2, .verbose = 0});
  return {model.get_weights(), history["loss"]};
}

void expect_same_sparse_bits(const SparseOutcome& a, const SparseOutcome& b,
                             const std::string& what) {
  for (size_t i = 0; i < a.weights.size(); ++i)
    EXPECT_TRUE(bitwise_equal(a.weights[i], b.weights[i])) << what << ", weight " << i;
  EXPECT_EQ(a.loss, b.loss) << what;
}

void expect_close(const SparseOutcome& a, const SparseOutcome& b, double tolerance,
                  const std::string& what) {
  for (size_t i = 0; i < a.weights.size(); ++i)
    expect_near(a.weights[i], b.weights[i], tolerance, what);
}

std::vector<std::pair<std::string, Setting>> settings() {
  return {{"SGD", {SGD({.learning_rate = 0.5})}},
          {"momentum", {SGD({.learning_rate = 0.1, .momentum = 0.9})}},
          {"clipped", {SGD({.learning_rate = 0.5, .global_clipnorm = 0.1})}},
          {"clipped each", {SGD({.learning_rate = 0.5, .clipnorm = 0.05})}},
          {"clipped values", {SGD({.learning_rate = 0.5, .clipvalue = 0.01})}},
          {"accumulated", {SGD({.learning_rate = 0.5, .gradient_accumulation_steps = 2})}},
          {"decay", {SGD({.learning_rate = 0.5, .weight_decay = 0.01})}},
          {"Adam", {Adam({.learning_rate = 0.01})}}};
}

TEST(SparseGradientsConcurrentTest, NReplicasEqualOneAndADenseTable) {
  for (size_t i = 0; i < settings().size(); ++i) {
    const auto [name, setting] = settings()[i];
    const SparseOutcome one = train(distribute::OneDeviceStrategy("cpu:0"), setting);
    for (const int n : {2, 3, 4})
      expect_close(train(sparse_mirrored(n, n), settings()[i].second), one, 2e-6, name);
    Setting dense = settings()[i].second;
    dense.one_hot = true;
    expect_close(train(sparse_mirrored(2, 2), dense), one, 2e-6, name + ", dense");
  }
}

TEST(SparseGradientsConcurrentTest, TheSameReplicasOnAnyDevicesGiveTheSameBits) {
  for (size_t i = 0; i < settings().size(); ++i) {
    for (const int replicas : {3, 4}) {
      const SparseOutcome reference = train(sparse_mirrored(1, replicas), settings()[i].second);
      for (const int devices : {2, 3, 4})
        if (devices <= replicas)
          expect_same_sparse_bits(reference,
                                  train(sparse_mirrored(devices, replicas), settings()[i].second),
                                  settings()[i].first + ", " + std::to_string(replicas) +
                                      " replicas on " + std::to_string(devices));
    }
  }
}

/// A loop of the user's own on 4 replicas of 4 rows each. Given as values whose shapes are known,
/// the rows are gathered; as batches of a dataset, the table is reduced.
std::vector<Tensor> custom_loop(const distribute::Strategy& strategy, bool of_dataset) {
  const Setting setting{SGD({.learning_rate = 0.5, .momentum = 0.5})};
  set_random_seed(7);
  const Model model = strategy.scope([&] { return make_model(setting); });
  const Function step = function(
      [&](Value x, Value y) {
        const Value losses = ops::squared_difference(model(x, {.training = true}), y);
        const auto weights = model.trainable_weights();
        setting.optimizer.apply(gradients(compute_average_loss(losses), weights), weights);
        return losses;
      },
      "step");
  const Tensor x = words(setting).slice(0, 0, 16).contiguous();
  const Tensor y = Tensor::full(DType::kF32, Shape{16, 5}, 0.25);
  const data::Dataset dataset = data::Dataset::from_tensor_slices({x, y}).batch(16);
  for (int epoch = 0; epoch < 3; ++epoch) {
    if (of_dataset) {
      auto batches = strategy.experimental_distribute_dataset(dataset).iterate({.epoch = epoch});
      const distribute::DistributedElement& batch = *batches.next();
      strategy.run(step, {batch[0], batch[1]});
    } else {
      const auto rows = [&](const Tensor& all) {
        return strategy.distribute_values_from_function(
            [&](int r) { return all.slice(0, 4 * r, 4 * r + 4).contiguous(); });
      };
      strategy.run(step, {rows(x), rows(y)});
    }
  }
  return model.get_weights();
}

TEST(SparseGradientsConcurrentTest, GatheringAndReducingGiveTheSameBits) {
  const auto gathered = custom_loop(sparse_mirrored(4, 4), false);
  const auto reduced = custom_loop(sparse_mirrored(4, 4), true);
  for (size_t i = 0; i < gathered.size(); ++i)
    EXPECT_TRUE(bitwise_equal(gathered[i], reduced[i])) << "weight " << i;
}

/// The ops of a placed update of a table [rows, 4] by `optimizer`, with 8 rows of each replica.
std::multiset<std::string> ops_of_update(const Optimizer& optimizer, int64_t rows,
                                         const distribute::StepRows& step) {
  const Variable table(Tensor(DType::kF32, Shape{rows, 4}), "table");
  const Trace made = trace(
      [&](std::span<const Value> in) {
        std::vector<Gradient> gradients =
            nn::gradients(ops::reduce_sum(ops::gather(table, in[0])), {table});
        std::vector<Value> none;
        ops::sum_over_replicas(gradients, none);
        optimizer.impl().apply(gradients, {table});
        return std::vector<Value>{};
      },
      {{DType::kI32, Shape{batch_dim()}}}, "update");
  std::multiset<std::string> ops;
  const Trace placed = distribute::place_mirrored(made, step);
  for (const auto& node : placed.graph->nodes()) ops.insert(node->op_name());
  return ops;
}

TEST(SparseGradientsTest, SlicesStaySlicesWhereThatIsLess) {
  const distribute::StepRows step{.num_replicas = 4, .batch_size = 32};
  // 4 replicas * 8 rows * (16 + 4) bytes are gathered; the dense table has 2 * 16 bytes a row.
  const auto gathered = ops_of_update(SGD(), 21, step);
  EXPECT_EQ(gathered.count("AllGather"), 2u);
  EXPECT_EQ(gathered.count("AllReduce"), 0u);
  EXPECT_EQ(gathered.count("SparseSgdUpdate"), 1u);
  EXPECT_EQ(gathered.count("SlicesToDense"), 0u);
  EXPECT_EQ(gathered.count("CombineSlices"), 1u);
  const auto reduced = ops_of_update(SGD(), 20, step);
  EXPECT_EQ(reduced.count("AllGather"), 0u);
  EXPECT_EQ(reduced.count("AllReduce"), 1u);
  EXPECT_EQ(reduced.count("SgdUpdate"), 1u);
  EXPECT_EQ(reduced.count("SparseSgdUpdate"), 0u);
}

TEST(SparseGradientsTest, TheDenseUpdateTakesTheGatheredRows) {
  const distribute::StepRows step{.num_replicas = 4, .batch_size = 32};
  for (const Optimizer& optimizer : {Optimizer(Adam()), Optimizer(SGD({.momentum = 0.9})),
                                     Optimizer(SGD({.weight_decay = 0.1}))}) {
    const auto ops = ops_of_update(optimizer, 1000, step);
    EXPECT_EQ(ops.count("AllGather"), 2u);
    EXPECT_EQ(ops.count("SlicesToDense"), 1u);
    EXPECT_EQ(ops.count("SparseSgdUpdate"), 0u);
  }
}

TEST(SparseGradientsTest, OneReplicaGathersNothing) {
  const auto ops = ops_of_update(SGD(), 1000, {});
  EXPECT_EQ(ops.count("AllGather"), 0u);
  EXPECT_EQ(ops.count("CombineSlices"), 1u);
  EXPECT_EQ(ops.count("SparseSgdUpdate"), 1u);
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
