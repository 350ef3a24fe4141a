// Losses and initializers against what Keras recorded.
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
