// The activations that tests/golden/layers.txt does not record, at points worked out by hand.
#include "cohort/core/graph/gradients.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

void expect_values(const ActivationFunction& activation, const std::vector<double>& x,
                   const std::vector<double>& y) {
  const Tensor in = Tensor::from(x, {1, static_cast<int64_t>(x.size())});
  const auto results =
      run([&](std::span<const Value> v) { return std::vector<Value>{activation(v[0])}; }, {in});
  const std::vector<double> got = numbers(results[0]);
  ASSERT_EQ(got.size(), y.size());
  for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(got[i], y[i], 1e-9) << i;
}

TEST(ActivationsTest, ValuesByHand) {
  const double e1 = std::exp(-1.0);
  expect_values("celu", {-1, 0, 2}, {e1 - 1, 0, 2});
  expect_values("glu", {3, -2, 0, 0}, {1.5, -1});
  expect_values("hard_shrink", {-1, -0.5, 0.4, 0.6}, {-1, 0, 0, 0.6});
  expect_values("hard_silu", {-4, -3, 0, 3, 4}, {0, 0, 0, 3, 4});
  expect_values("hard_swish", {1}, {4.0 / 6});
  expect_values("hard_tanh", {-2, 0.5, 2}, {-1, 0.5, 1});
  expect_values("log_sigmoid", {0}, {-std::log(2.0)});
  expect_values("soft_shrink", {-1, -0.5, 0.4, 0.75}, {-0.5, 0, 0, 0.25});
  expect_values("sparse_plus", {-2, -1, 0, 1, 2}, {0, 0, 0.25, 1, 2});
  expect_values("sparse_sigmoid", {-2, -1, 0, 1, 2}, {0, 0, 0.5, 1, 1});
  expect_values("squareplus", {0, 1.5}, {1, 2});
  expect_values("swish", {0, 1}, {0, 1 / (1 + e1)});
  expect_values("tanh_shrink", {0, 1}, {0, 1 - std::tanh(1.0)});
  expect_values([](Value x) { return activations::threshold(x, 0.5, -1); }, {0, 0.5, 1},
                {-1, -1, 1});
  expect_values([](Value x) { return activations::gelu(x, true); }, {0}, {0});
}

TEST(ActivationsTest, SparsemaxIsTheNearestPointOfTheSimplex) {
  expect_values("sparsemax", {3, 0, 0}, {1, 0, 0});
  expect_values("sparsemax", {0.5, 0.5, -1}, {0.5, 0.5, 0});
  expect_values("sparsemax", {0.3, 0.1, -0.1}, {0.3 + 0.7 / 3, 0.1 + 0.7 / 3, -0.1 + 0.7 / 3});
}

/// d sum(y * w) / dx against central differences.
void expect_gradient(const char* name) {
  const ActivationFunction activation = name;
  const Tensor x = Tensor::from<double>({-2.3, -0.8, 0.3, 0.7, 1.9, 3.4}, {1, 6});
  const auto weighted = [&](Value y) {
    const int64_t width = y.shape().size(1);
    Tensor w(DType::kF64, {1, width});
    for (int64_t i = 0; i < width; ++i) w.data<double>()[i] = 1 + 0.5 * static_cast<double>(i);
    return ops::reduce_sum(y * ops::constant(w));
  };
  const Function value(
      [&](std::span<const Value> in) { return std::vector<Value>{weighted(activation(in[0]))}; });
  const auto gradient = run(
      [&](std::span<const Value> in) {
        const Gradient g = cohort::gradients(weighted(activation(in[0])), in.first(1))[0];
        return std::vector<Value>{g.dense()};
      },
      {x});
  for (int64_t i = 0; i < 6; ++i) {
    Tensor above = x.clone(), below = x.clone();
    above.data<double>()[i] += 1e-6;
    below.data<double>()[i] -= 1e-6;
    const double want = (value(above)[0].item<double>() - value(below)[0].item<double>()) / 2e-6;
    EXPECT_NEAR(gradient[0].data<double>()[i], want, 1e-6) << name << " " << i;
  }
}

TEST(ActivationsTest, GradientsAgainstFiniteDifferences) {
  for (const char* name : {"celu", "glu", "hard_shrink", "hard_silu", "hard_tanh", "log_sigmoid",
                           "soft_shrink", "sparse_plus", "sparse_sigmoid", "sparsemax",
                           "squareplus", "tanh_shrink", "gelu", "mish", "selu", "elu"})
    expect_gradient(name);
}

}  // namespace
}  // namespace cohort::nn
