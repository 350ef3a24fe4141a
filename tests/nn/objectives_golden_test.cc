// What rows, outputs and paths share, against what Keras recorded: weights of a lower rank than the
// losses, penalties on activities and on weights, losses of several outputs; on one device and
// many.
#include "cohort/core/graph/gradients.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/data/batch_sizes.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using testing::Golden;

Loss make_loss(const std::string& name, const std::string& reduction) {
  if (name == "sparse_categorical_crossentropy")
    return SparseCategoricalCrossentropy({.from_logits = true, .reduction = reduction});
  if (name == "categorical_crossentropy")
    return CategoricalCrossentropy({.from_logits = true, .reduction = reduction});
  if (name == "binary_crossentropy")
    return BinaryCrossentropy({.from_logits = true, .reduction = reduction});
  return MeanSquaredError({.reduction = reduction});
}

distribute::Strategy mirrored_over(int replicas) {
  std::vector<std::string> devices;
  for (int i = 0; i < replicas; ++i) devices.push_back("cpu:" + std::to_string(i));
  return distribute::MirroredStrategy({.devices = devices});
}

class ObjectivesGoldenTest : public ::testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Replicas, ObjectivesGoldenTest, ::testing::Values(1, 2, 4));

TEST_P(ObjectivesGoldenTest, OneWeightForEachRowOfLossesOfRank3) {
  const Golden golden("objectives");
  for (const std::string& name : golden.cases("weights"))
    for (const char* reduction :
         {"sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"}) {
      const std::string what = "weights/" + name + "/" + reduction;
      const auto strategy = mirrored_over(GetParam());
      const Variable kernel =
          strategy.scope([&] { return Variable(golden["data/kernel"], "kernel"); });
      const Loss loss = make_loss(name, reduction);
      // The shares of the replicas add up; the gradient is what SGD(1) takes from the kernel.
      const Optimizer sgd = SGD({.learning_rate = 1});
      const Function step = function([&](Value x, Value y, Value weight, Value bias) {
        const Value share = loss(y, ops::matmul(x, kernel) + bias, weight);
        sgd.apply_gradients(zip(gradients(share, {kernel}), {kernel}));
        return share;
      });
      const auto rows = [&](const std::string& from) {
        std::vector<Tensor> parts;
        const Tensor all = golden[from];
        const int64_t replicas = strategy.num_replicas_in_sync();
        for (int64_t r = 0; r < replicas; ++r) {
          const auto [begin, end] = data::rows_of_replicas(all.size(0), all.size(0),
                                                           {.num_replicas = replicas, .first = r});
          parts.push_back(all.slice(0, begin, end));
        }
        return distribute::PerReplica(parts, true);
      };
      const auto shares = strategy.run(step, {rows("data/x"), rows("weights/" + name + "/y_true"),
                                              rows("data/weight"), golden["data/bias"]});
      expect_near(strategy.reduce(distribute::ReduceOp::kSum, shares[0]), golden[what], 2e-5, what);
      Tensor gradient = golden["data/kernel"].clone();
      const Tensor after = kernel.value();
      for (int64_t i = 0; i < gradient.num_elements(); ++i)
        gradient.data<float>()[i] -= after.data<float>()[i];
      expect_near(gradient, golden["weights/" + name + "/d_" + reduction], 2e-5, "d " + what);
    }
}

TEST(MetricsGoldenTest, OneWeightForEachRowOfValuesOfRank3) {
  const Golden golden("objectives");
  for (const std::string& name : golden.cases("weights")) {
    const Metric metric = metrics::MeanOfLoss{.loss = make_loss(name, "sum")};
    const Tensor logits = run(
        [](std::span<const Value> in) {
          return std::vector<Value>{ops::matmul(in[0], in[1]) + in[2]};
        },
        {golden["data/x"], golden["data/kernel"], golden["data/bias"]})[0];
    metric.update_state(golden["weights/" + name + "/y_true"], logits, golden["data/weight"]);
    EXPECT_NEAR(metric.result(), golden.number("weights/" + name + "/metric"), 2e-5) << name;
  }
}

TEST(MetricsGoldenTest, MeansOfLossesLeaveOutWhatTheLossLeavesOut) {
  const Golden golden("objectives");
  const Loss loss = SparseCategoricalCrossentropy({.from_logits = true, .ignore_class = 2});
  const Metric plain = metrics::MeanOfLoss{loss}, weighted = metrics::MeanOfLoss{loss};
  plain.update_state(golden["ignored/y_true"], golden["ignored/y_pred"]);
  EXPECT_NEAR(plain.result(), golden.number("ignored/metric"), 2e-5);
  weighted.update_state(golden["ignored/y_true"], golden["ignored/y_pred"],
                        golden["ignored/sample_weight"]);
  EXPECT_NEAR(weighted.result(), golden.number("ignored/weighted_metric"), 2e-5);
}

Model make_dense() {
  return Sequential({Input({.shape = {3}}),
                     Dense({.units = 4,
                            .activation = "tanh",
                            .activity_regularizer = regularizers::L1({.l1 = 0.1})}),
                     Dense({.units = 2, .activity_regularizer = regularizers::L2({.l2 = 0.05})})});
}

Model make_conv2d() {
  return Sequential({Input({.shape = {4, 4, 2}}),
                     Conv2D({.filters = 3,
                             .kernel_size = {3, 3},
                             .activity_regularizer = regularizers::L1L2({.l1 = 0.1, .l2 = 0.05})}),
                     Flatten(), Dense({.units = 1})});
}

Model make_shared() {
  const auto a = Input({.shape = {3}}), b = Input({.shape = {3}}), c = Input({.shape = {3}});
  const Layer shared = Dense{.units = 2, .kernel_regularizer = regularizers::L2({.l2 = 0.1})};
  const Model inner({.inputs = {a}, .outputs = {shared(a)}});
  const auto head = Dense({.units = 1, .name = "head"})(Add()({inner(b), shared(c)}));
  return Model(
      {.inputs = {b, c}, .outputs = {head, Dense({.units = 2, .name = "tail"})(shared(b))}});
}

std::vector<Tensor> list(const Golden& golden, const std::string& prefix) {
  std::vector<Tensor> values;
  for (int i = 0; golden.has(prefix + std::to_string(i)); ++i)
    values.push_back(golden[prefix + std::to_string(i)]);
  return values;
}

void expect_logs(const Golden& golden, const std::string& group, const std::string& name,
                 const Logs& logs) {
  std::string names;
  const auto want = golden.values<double>(group + "/" + name);
  ASSERT_EQ(logs.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    names += (i > 0 ? " " : "") + logs.entries()[i].first;
    EXPECT_NEAR(logs.entries()[i].second, want[i], 3e-5 * (1 + std::abs(want[i]))) << name;
  }
  EXPECT_EQ(names, golden.text(group + "/logs"));
}

void check_fit(int replicas, const std::string& name, Model (*make)(), double learning_rate) {
  const Golden golden("objectives");
  const std::string group = "penalty/" + name;
  const Model model = mirrored_over(replicas).scope(make);
  model.set_weights(list(golden, group + "/start"));
  model.compile({.optimizer = SGD({.learning_rate = learning_rate}), .loss = "mse"});
  const std::vector<Tensor> x = list(golden, group + "/x"), y = list(golden, group + "/y");
  for (int epoch = 0; epoch < 2; ++epoch) {
    const History history = model.fit(x, y, {.batch_size = 4, .verbose = 0, .shuffle = false});
    std::vector<Logs::Entry> entries;
    for (const auto& [key, values] : history.history()) entries.emplace_back(key, values[0]);
    expect_logs(golden, group, "fit" + std::to_string(epoch), Logs(entries));
    const auto weights = model.get_weights();
    for (size_t i = 0; i < weights.size(); ++i) {
      const std::string weight =
          group + "/weight" + std::to_string(i) + "_" + std::to_string(epoch);
      expect_near(weights[i], golden[weight], 3e-5, weight);
    }
  }
  expect_logs(golden, group, "evaluate", model.evaluate(x, y, {.batch_size = 4, .verbose = 0}));
}

TEST_P(ObjectivesGoldenTest, ActivityPenaltiesAreDividedByTheRowsOfTheGlobalBatch) {
  check_fit(GetParam(), "activity_dense", make_dense, 0.05);
  check_fit(GetParam(), "activity_conv2d", make_conv2d, 0.001);
}

TEST_P(ObjectivesGoldenTest, APenaltyCountsOnceHoweverOftenItsLayerIsReached) {
  check_fit(GetParam(), "shared", make_shared, 0.05);
}

TEST_P(ObjectivesGoldenTest, NormalizationCalledTwiceMovesItsStatisticsOneAfterTheOther) {
  const Golden golden("objectives");
  const Model model = mirrored_over(GetParam()).scope([] {
    const auto a = Input({.shape = {2}}), b = Input({.shape = {2}});
    const Layer norm = BatchNormalization{.momentum = 0.25, .synchronized = true};
    return Model({.inputs = {a, b}, .outputs = {Add()({norm(a), norm(b)})}});
  });
  model.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse"});
  const std::string group = "shared_normalization/";
  for (int step = 0; step < 2; ++step)
    model.train_on_batch(list(golden, group + "x"), list(golden, group + "y"));
  const auto weights = model.get_weights();
  for (size_t i = 0; i < 4; ++i)
    expect_near(weights[i], golden[group + "weight" + std::to_string(i)], 2e-5,
                "weight " + std::to_string(i));
}

TEST_P(ObjectivesGoldenTest, LossesOfOutputsAreWeighedByRowsAndAddUp) {
  const Model model = mirrored_over(GetParam()).scope([] {
    const Dense zero{.units = 1, .use_bias = false, .kernel_initializer = "zeros"};
    const auto x = Input({.shape = {1}});
    Dense a = zero, b = zero;
    a.name = "a", b.name = "b";
    return Model({.inputs = {x}, .outputs = {Dense(a)(x), Dense(b)(x)}});
  });
  model.compile({.optimizer = "sgd", .loss = {"mse", "mse"}, .loss_weights = {1.0, 0.5}});
  const Tensor x = Tensor::from<float>({1, 1, 1}, {3, 1});
  // a: (1 + 1 + 16) / 3 = 6; b: 4. Means of the batches of 2 and 1 rows would be 8.5 and 4.
  const Logs logs = model.evaluate(
      {x}, {Tensor::from<float>({1, 1, 4}, {3, 1}), Tensor::from<float>({2, 2, 2}, {3, 1})},
      {.batch_size = 2, .verbose = 0});
  EXPECT_NEAR(logs["a_loss"], 6, 1e-5);
  EXPECT_NEAR(logs["b_loss"], 4, 1e-5);
  EXPECT_NEAR(logs["loss"], 6 + 0.5 * 4, 1e-5);
}

}  // namespace
}  // namespace cohort::nn
