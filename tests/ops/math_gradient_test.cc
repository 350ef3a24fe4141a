#include <gtest/gtest.h>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "tests/support/gradient_check.h"

namespace cohort::testing {
namespace {

Tensor positive(const Shape& shape, uint32_t seed) {
  Tensor x = random_tensor(shape, seed);
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<double>()[i] = std::abs(x.data<double>()[i]) + 0.3;
  return x;
}

struct Unary {
  const char* name;
  Value (*function)(Value);
  bool on_positive = false;
};

class UnaryGradientTest : public ::testing::TestWithParam<Unary> {};

TEST_P(UnaryGradientTest, AgreesWithFiniteDifferences) {
  const Unary& op = GetParam();
  const auto f = [&](std::span<const Value> x) { return op.function(x[0]); };
  const Shape shape{3, 7};
  check_gradients(f, {op.on_positive ? positive(shape, 1) : random_tensor(shape, 1)},
                  {.batched = {0}});
  check_gradients(f, {Tensor(DType::kF64, {0, 7})}, {.batched = {0}});
}

INSTANTIATE_TEST_SUITE_P(
    Ops, UnaryGradientTest,
    ::testing::Values(Unary{"neg", ops::neg}, Unary{"abs", ops::abs}, Unary{"sign", ops::sign},
                      Unary{"exp", ops::exp}, Unary{"expm1", ops::expm1},
                      Unary{"log", ops::log, true}, Unary{"log1p", ops::log1p, true},
                      Unary{"sqrt", ops::sqrt, true}, Unary{"rsqrt", ops::rsqrt, true},
                      Unary{"square", ops::square}, Unary{"reciprocal", ops::reciprocal, true},
                      Unary{"sin", ops::sin}, Unary{"cos", ops::cos}, Unary{"tanh", ops::tanh},
                      Unary{"sigmoid", ops::sigmoid}, Unary{"erf", ops::erf},
                      Unary{"relu", ops::relu}, Unary{"softplus", ops::softplus},
                      Unary{"floor", ops::floor}, Unary{"ceil", ops::ceil},
                      Unary{"round", ops::round}, Unary{"identity", ops::identity}),
    [](const auto& test) { return std::string(test.param.name); });

struct Binary {
  const char* name;
  Value (*function)(Value, Value);
  bool on_positive = false;
};

class BinaryGradientTest : public ::testing::TestWithParam<Binary> {};

TEST_P(BinaryGradientTest, AgreesWithFiniteDifferencesUnderBroadcasting) {
  const Binary& op = GetParam();
  const auto f = [&](std::span<const Value> x) { return op.function(x[0], x[1]); };
  const std::pair<Shape, Shape> shapes[] = {
      {{3, 4}, {3, 4}}, {{3, 4}, {4}}, {{3, 1}, {1, 4}}, {{}, {2, 3}}, {{2, 1, 3}, {2, 1}}};
  for (const auto& [a, b] : shapes) {
    SCOPED_TRACE(a.to_string() + " and " + b.to_string());
    const auto make = op.on_positive ? positive : [](const Shape& shape, uint32_t seed) {
      return random_tensor(shape, seed);
    };
    check_gradients(f, {make(a, 1), make(b, 2)});
  }
  check_gradients(f, {positive({3, 4}, 1), positive({4}, 2)}, {.batched = {0}});
  check_gradients(f, {Tensor(DType::kF64, {0, 4}), positive({4}, 2)}, {.batched = {0}});
}

INSTANTIATE_TEST_SUITE_P(Ops, BinaryGradientTest,
                         ::testing::Values(Binary{"add", ops::add}, Binary{"sub", ops::sub},
                                           Binary{"mul", ops::mul}, Binary{"div", ops::div, true},
                                           Binary{"pow", ops::pow, true},
                                           Binary{"maximum", ops::maximum},
                                           Binary{"minimum", ops::minimum},
                                           Binary{"squared_difference", ops::squared_difference},
                                           Binary{"floor_mod", ops::floor_mod, true}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(MathGradientTest, SelectSendsTheGradientToTheBranchTaken) {
  const Tensor condition = Tensor::from<bool>({true, false, true}, Shape{3, 1});
  check_gradients([](std::span<const Value> x) { return ops::where(x[0], x[1] * x[1], x[2]); },
                  {condition, random_tensor({3, 4}, 1), random_tensor({4}, 2)});
}

TEST(MathGradientTest, FmaIsAProductAndASum) {
  const std::vector<Tensor> inputs{random_tensor({3, 4}, 1), random_tensor({4}, 2),
                                   random_tensor({3, 1}, 3)};
  check_gradients([](std::span<const Value> x) { return ops::fma(x[0], x[1], x[2]); }, inputs);
  check_gradients([](std::span<const Value> x) { return ops::fma(x[0], 0.75, x[1]); }, inputs);
}

TEST(MathGradientTest, BackwardOpsHaveGradients) {
  const std::vector<Tensor> inputs{random_tensor({3, 4}, 1), random_tensor({3, 4}, 2)};
  for (auto op : {ops::relu_grad, ops::sigmoid_grad, ops::tanh_grad})
    check_gradients([&](std::span<const Value> x) { return op(x[0], x[1]); }, inputs);
}

TEST(MathGradientTest, ClipAddNAndNumbers) {
  const std::vector<Tensor> inputs{random_tensor({3, 4}, 1), random_tensor({3, 4}, 2)};
  check_gradients([](std::span<const Value> x) { return ops::clip(x[0] * x[1], -0.21, 0.33); },
                  inputs);
  check_gradients(
      [](std::span<const Value> x) {
        return ops::add_n(std::vector<Value>{x[0] * x[0], x[1], x[0]});
      },
      inputs);
  check_gradients(
      [](std::span<const Value> x) { return (1.5 - x[0]) * (x[1] / 4 + 2) - 3 / (x[0] + 2); },
      inputs);
}

TEST(MathGradientTest, CastPassesGradientsBetweenFloats) {
  check_gradients(
      [](std::span<const Value> x) {
        return ops::cast(ops::cast(x[0], DType::kF32), DType::kF64) * x[0];
      },
      {random_tensor({3}, 1)}, {.step = 1e-2, .tolerance = 1e-4});
}

TEST(MathGradientTest, PowerOfZeroIsDefined) {
  const auto out = evaluate(
      [](std::span<const Value> x) {
        const Value exponents = ops::constant(Tensor::from({0.0, 1.0, 2.0}));
        const Value y = ops::pow(x[0], exponents);
        return std::vector<Value>{y, gradients(y, x).front().dense()};
      },
      {Tensor::from({0.0, 0.0, 0.0})});
  EXPECT_EQ(elements(out[0]), (std::vector<double>{1, 0, 0}));
  EXPECT_EQ(elements(out[1]), (std::vector<double>{0, 1, 0}));
}

TEST(MathGradientTest, TiesOfMaximumGoToTheFirst) {
  const auto out = evaluate(
      [](std::span<const Value> x) {
        const auto d = gradients(ops::maximum(x[0], x[1]), x);
        return std::vector<Value>{d[0].dense(), d[1].dense()};
      },
      {Tensor::from({1.0, 2.0, 0.0}), Tensor::from({1.0, 1.0, 3.0})});
  EXPECT_EQ(elements(out[0]), (std::vector<double>{1, 1, 0}));
  EXPECT_EQ(elements(out[1]), (std::vector<double>{0, 0, 1}));
}

using ReduceFunction = Value (*)(Value, ops::ReduceOptions);
class ReduceGradientTest : public ::testing::TestWithParam<ReduceFunction> {};

TEST_P(ReduceGradientTest, AgreesWithFiniteDifferencesOnEveryAxis) {
  const Tensor x = random_tensor({3, 4, 2}, 5);
  for (const ops::ReduceOptions& options :
       {ops::ReduceOptions{}, ops::ReduceOptions{.axis = {0}}, ops::ReduceOptions{.axis = {-1}},
        ops::ReduceOptions{.axis = {0, 2}, .keepdims = true}})
    check_gradients([&](std::span<const Value> in) { return GetParam()(in[0], options); }, {x},
                    {.batched = {0}});
}

INSTANTIATE_TEST_SUITE_P(Ops, ReduceGradientTest,
                         ::testing::Values(ops::reduce_sum, ops::reduce_mean, ops::reduce_max,
                                           ops::reduce_min, ops::reduce_prod));

TEST(ReduceGradientTest, MeanOverASymbolThatIsNotTheFirstAxis) {
  check_gradients(
      [](std::span<const Value> x) {
        return ops::reduce_mean(ops::transpose(x[0], {1, 0}) * 2, {.axis = {1}});
      },
      {random_tensor({5, 3}, 1)}, {.batched = {0}});
}

TEST(ReduceGradientTest, ProductWithZerosAndTiedMaxima) {
  const Tensor zeros = Tensor::from({2.0, 0.0, 3.0, 0.0, 0.0, 3.0, 1.5, 2.0, 4.0}, Shape{3, 3});
  check_gradients([](std::span<const Value> x) { return ops::reduce_prod(x[0], {.axis = {1}}); },
                  {zeros}, {.order = 1});
  const auto out = evaluate(
      [](std::span<const Value> x) {
        return std::vector<Value>{gradients(ops::reduce_max(x[0]), x).front().dense()};
      },
      {Tensor::from({1.0, 4.0, 4.0})});
  EXPECT_EQ(elements(out[0]), (std::vector<double>{0, 0.5, 0.5}));
}

}  // namespace
}  // namespace cohort::testing
