// Losses, optimizers and initializers against what Keras recorded.
#include "cohort/core/graph/gradients.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using testing::Golden;

Loss make_loss(const Golden& golden, const std::string& group, const std::string& reduction) {
  const std::string kind = golden.text(group + "/loss");
  const bool logits =
      golden.has(group + "/from_logits") && golden.number(group + "/from_logits") != 0;
  const double smoothing =
      golden.has(group + "/label_smoothing") ? golden.number(group + "/label_smoothing") : 0;
  if (kind == "SparseCategoricalCrossentropy") {
    SparseCategoricalCrossentropy options{.from_logits = logits, .reduction = reduction};
    if (golden.has(group + "/ignore_class"))
      options.ignore_class = static_cast<int64_t>(golden.number(group + "/ignore_class"));
    return options;
  }
  if (kind == "CategoricalCrossentropy")
    return CategoricalCrossentropy(
        {.from_logits = logits, .label_smoothing = smoothing, .reduction = reduction});
  if (kind == "BinaryCrossentropy")
    return BinaryCrossentropy(
        {.from_logits = logits, .label_smoothing = smoothing, .reduction = reduction});
  return MeanSquaredError({.reduction = reduction});
}

void check(const Golden& golden, const std::string& group, const std::string& reduction) {
  // Keras takes a loss of rank-1 predictions as one example; here they are a column.
  const bool rank1 = golden[group + "/y_pred"].rank() == 1;
  if (rank1 && (reduction == "sum" || reduction == "none")) return;
  const Loss loss = make_loss(golden, group, reduction);
  std::vector<Tensor> arguments{golden[group + "/y_true"], golden[group + "/y_pred"]};
  if (golden.has(group + "/sample_weight")) arguments.push_back(golden[group + "/sample_weight"]);
  const std::vector<Tensor> got = run(
      [&](std::span<const Value> in) {
        const Value value = loss(in[0], in[1], in.size() > 2 ? in[2] : Value());
        const Value total = value.rank() == 0 ? value : ops::reduce_sum(value);
        const Gradient dx = cohort::gradients(total, in.subspan(1, 1))[0];
        return std::vector<Value>{value, dx.dense()};
      },
      arguments);
  const std::string what = group + "/" + reduction;
  expect_near(got[0], golden[what], 2e-5, what);
  expect_near(got[1], golden[group + "/d_" + reduction], 2e-5, "d " + what);
}

TEST(LossesGoldenTest, ValuesAndGradientsOfEveryReduction) {
  const Golden golden("losses");
  for (const std::string& name : golden.cases("losses"))
    for (const char* reduction :
         {"sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"})
      check(golden, "losses/" + name, reduction);
}

std::optional<double> number(const Golden& golden, const std::string& name) {
  return golden.has(name) ? std::optional(golden.number(name)) : std::nullopt;
}

Optimizer make_optimizer(const Golden& golden, const std::string& group) {
  const auto of = [&](const char* name) { return number(golden, group + "/" + name); };
  if (golden.text(group + "/optimizer") == "SGD")
    return SGD({.learning_rate = of("learning_rate").value_or(0.01),
                .momentum = of("momentum").value_or(0),
                .nesterov = of("nesterov").value_or(0) != 0,
                .weight_decay = of("weight_decay"),
                .clipnorm = of("clipnorm"),
                .clipvalue = of("clipvalue"),
                .global_clipnorm = of("global_clipnorm")});
  if (golden.text(group + "/optimizer") != "Adam")
    throw InvalidArgument("{}: got optimizer {}; want one that this test makes", group,
                          golden.text(group + "/optimizer"));
  return Adam({.learning_rate = of("learning_rate").value_or(0.001),
               .beta_1 = of("beta_1").value_or(0.9),
               .beta_2 = of("beta_2").value_or(0.999),
               .epsilon = of("epsilon").value_or(1e-7),
               .amsgrad = of("amsgrad").value_or(0) != 0,
               .weight_decay = of("weight_decay"),
               .clipnorm = of("clipnorm"),
               .clipvalue = of("clipvalue"),
               .global_clipnorm = of("global_clipnorm")});
}

TEST(OptimizersGoldenTest, TwentySteps) {
  const Golden golden("optimizers");
  for (const std::string& name : golden.cases("optimizers")) {
    const std::string group = "optimizers/" + name;
    const Optimizer optimizer = make_optimizer(golden, group);
    const std::vector<Variable> variables{Variable(golden["start/a"], "a"),
                                          Variable(golden["start/b"], "b")};
    if (golden.has(group + "/exclude_b")) optimizer.exclude_from_weight_decay({variables[1]});
    const double scale = golden.number(group + "/gradient_scale");
    const Function step([&](std::span<const Value> in) {
      optimizer.apply_gradients(zip({Gradient(in[0] * scale), Gradient(in[1] * scale)}, variables));
      return std::vector<Value>();
    });
    for (int i = 1; i <= 20; ++i) {
      const std::string k = std::to_string(i);
      step(golden["gradient" + k + "/a"], golden["gradient" + k + "/b"]);
      if (!golden.has(group + "/a" + k)) continue;
      expect_near(variables[0].value(), golden[group + "/a" + k], 1e-5, group + "/a" + k);
      expect_near(variables[1].value(), golden[group + "/b" + k], 1e-5, group + "/b" + k);
    }
    const int64_t k = optimizer->options().gradient_accumulation_steps.value_or(1);
    EXPECT_EQ(optimizer.iterations(), 20 / k) << name;
  }
}

TEST(InitializersGoldenTest, MomentsAndLimits) {
  const Golden golden("initializers");
  for (const std::string& name : golden.cases("initializers")) {
    const std::string group = "initializers/" + name;
    const std::string kind = golden.text(group + "/initializer");
    const std::string distribution = golden.text(group + "/distribution");
    if (distribution == "orthogonal") continue;
    const Initializer initializer =
        kind == "constant" ? initializers::Constant({.value = 0.25}) : Initializer(kind);
    const Shape shape(golden.values<int64_t>(group + "/shape"));
    double sum = 0, squares = 0, low = 1e9, high = -1e9;
    int64_t count = 0;
    for (uint64_t seed = 0; count < 200000; ++seed) {
      for (const double v : numbers(initializer(shape, DType::kF32, {seed, "layer/kernel"}))) {
        sum += v, squares += v * v, ++count;
        low = std::min(low, v), high = std::max(high, v);
      }
      if (distribution == "constant") break;
    }
    const double mean = sum / static_cast<double>(count);
    const double stddev =
        std::sqrt(std::max(0.0, squares / static_cast<double>(count) - mean * mean));
    EXPECT_NEAR(mean, golden.number(group + "/mean_seen"),
                2 * golden.number(group + "/tolerance_mean") + 1e-7)
        << name;
    EXPECT_NEAR(stddev, golden.number(group + "/stddev_seen"),
                2 * golden.number(group + "/tolerance_stddev") + 1e-6)
        << name;
    if (distribution == "uniform") {
      EXPECT_GE(low, golden.number(group + "/minval") - 1e-6) << name;
      EXPECT_LE(high, golden.number(group + "/maxval") + 1e-6) << name;
    } else if (distribution == "truncated_normal") {
      EXPECT_LE(std::max(-low, high), golden.number(group + "/limit") + 1e-6) << name;
    }
  }
}

TEST(InitializersTest, OrthogonalColumnsOrRowsAreOrthonormalTimesGain) {
  const Golden golden("initializers");
  for (const std::string label : {"square", "tall", "wide"}) {
    const Shape shape(golden.values<int64_t>("initializers/orthogonal_" + label + "/shape"));
    const Tensor q =
        Initializer(initializers::Orthogonal{.gain = 1.5})(shape, DType::kF32, {3, "q"});
    const int64_t columns = shape.size(shape.rank() - 1), rows = shape.num_elements() / columns;
    const auto v = q.values<float>();
    const bool by_column = rows >= columns;
    for (int64_t i = 0; i < std::min(rows, columns); ++i)
      for (int64_t j = 0; j <= i; ++j) {
        double dot = 0;
        for (int64_t k = 0; k < std::max(rows, columns); ++k)
          dot += by_column ? v[static_cast<size_t>(k * columns + i)] *
                                 v[static_cast<size_t>(k * columns + j)]
                           : v[static_cast<size_t>(i * columns + k)] *
                                 v[static_cast<size_t>(j * columns + k)];
        EXPECT_NEAR(dot, i == j ? 2.25 : 0, 1e-5) << label;
      }
  }
}

TEST(InitializersTest, ValuesFollowFromSeedAndPath) {
  const Initializer glorot = "glorot_uniform";
  const Shape shape{4, 3};
  const Tensor a = glorot(shape, DType::kF32, {7, "dense/kernel"});
  EXPECT_TRUE(bitwise_equal(a, glorot(shape, DType::kF32, {7, "dense/kernel"})));
  EXPECT_FALSE(bitwise_equal(a, glorot(shape, DType::kF32, {8, "dense/kernel"})));
  EXPECT_FALSE(bitwise_equal(a, glorot(shape, DType::kF32, {7, "dense_1/kernel"})));
}

}  // namespace
}  // namespace cohort::nn
