#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cohort/cohort.h"
#include "cohort/core/runtime/function.h"
#include "cohort/distribute/placement/mirrored.h"
#include "tests/nn/support.h"

/// Training of a table by gathered rows.
namespace cohort::nn {

inline constexpr int64_t kTable = 500, kWords = 6, kExamples = 70;

inline distribute::Strategy sparse_mirrored(int devices, int replicas) {
  distribute::MirroredOptions options{.num_replicas = replicas, .bytes_per_pack = 2000};
  for (int i = 0; i < devices; ++i) options.devices.push_back("cpu:" + std::to_string(i));
  return distribute::MirroredStrategy(options);
}

struct TableSetting {
  Optimizer optimizer;
  int64_t table = kTable;
  bool one_hot = false;  ///< the same table as a matrix that one-hot rows are multiplied with
};

inline Model make_table_model(const TableSetting& setting) {
  const auto table = [&]() -> Layer {
    if (!setting.one_hot) return Embedding({.input_dim = setting.table, .output_dim = 4});
    return Dense({.units = 4, .use_bias = false, .kernel_initializer = "uniform"});
  };
  const Shape shape = setting.one_hot ? Shape{kWords, setting.table} : Shape{kWords};
  return Sequential({Input({.shape = shape}), table(), Flatten(), Dense({.units = 5})});
}

inline Tensor table_words(const TableSetting& setting) {
  Tensor x(DType::kI32, Shape{kExamples, kWords});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<int32_t>()[i] = static_cast<int32_t>(i * i * 7919 % 1009 % 40 * 12 % setting.table);
  if (!setting.one_hot) return x;
  Tensor dense(DType::kF32, Shape{kExamples, kWords, setting.table});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    dense.data<float>()[i * setting.table + x.data<int32_t>()[i]] = 1;
  return dense;
}

inline Tensor table_labels() {
  Tensor y(DType::kI32, Shape{kExamples});
  for (int64_t i = 0; i < kExamples; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i * 3 % 5);
  return y;
}

struct SparseOutcome {
  std::vector<Tensor> weights;
  std::vector<double> loss;
};

/// Two epochs in batches of 16: the last has 6 rows, so that of 4 replicas one has 2, one none.
inline SparseOutcome train_table(const distribute::Strategy& strategy,
                                 const TableSetting& setting) {
  set_random_seed(7);
  const Model model = strategy.scope([&] {
    const Model model = make_table_model(setting);
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
  const History history = model.fit(table_words(setting), table_labels(),
                                    {.batch_size = 16, .epochs = 2, .verbose = 0});
  return {model.get_weights(), history["loss"]};
}

inline void expect_same_sparse_bits(const SparseOutcome& a, const SparseOutcome& b,
                                    const std::string& what) {
  for (size_t i = 0; i < a.weights.size(); ++i)
    EXPECT_TRUE(bitwise_equal(a.weights[i], b.weights[i])) << what << ", weight " << i;
  EXPECT_EQ(a.loss, b.loss) << what;
}

inline void expect_close_tables(const SparseOutcome& a, const SparseOutcome& b, double tolerance,
                                const std::string& what) {
  for (size_t i = 0; i < a.weights.size(); ++i)
    expect_near(a.weights[i], b.weights[i], tolerance, what);
}

/// A loop of the user's own on 4 replicas of 4 rows each. Given as values whose shapes are known,
/// the rows are gathered; as batches of a dataset, the table is reduced.
inline std::vector<Tensor> train_table_in_loop(const distribute::Strategy& strategy,
                                               bool of_dataset, const Optimizer& optimizer) {
  const TableSetting setting{optimizer};
  set_random_seed(7);
  const Model model = strategy.scope([&] { return make_table_model(setting); });
  const Function step = function(
      [&](Value x, Value y) {
        const Value losses = ops::squared_difference(model(x, {.training = true}), y);
        const auto weights = model.trainable_weights();
        setting.optimizer.apply(gradients(compute_average_loss(losses), weights), weights);
        return losses;
      },
      "step");
  const Tensor x = table_words(setting).slice(0, 0, 16).contiguous();
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

/// The ops of a placed update of a table [rows, 4] by `optimizer`, with 8 rows of each replica.
inline std::multiset<std::string> ops_of_update(const Optimizer& optimizer, int64_t rows,
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

}  // namespace cohort::nn
