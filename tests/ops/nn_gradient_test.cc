#include <gtest/gtest.h>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/conv.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/norm.h"
#include "cohort/core/ops/pool.h"
#include "cohort/core/ops/random.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/softmax.h"
#include "tests/support/gradient_check.h"

namespace cohort::testing {
namespace {

using Inputs = std::span<const Value>;
using ops::Padding;

struct ConvCase {
  Shape x, kernel;
  ops::Conv2DOptions options = {};
};

TEST(ConvGradientTest, StridesDilationGroupsAndPadding) {
  const ConvCase cases[] = {
      {{2, 4, 5, 2}, {3, 2, 2, 3}},
      {{2, 4, 5, 2}, {3, 2, 2, 3}, {.padding = Padding::kSame}},
      {{1, 5, 6, 2}, {3, 3, 2, 2}, {.strides = {2, 3}, .padding = Padding::kSame}},
      {{1, 5, 6, 1}, {2, 2, 1, 2}, {.strides = {2, 2}}},
      {{1, 6, 5, 1}, {3, 2, 1, 2}, {.dilation = {2, 3}}},
      {{1, 4, 4, 4}, {2, 2, 2, 4}, {.padding = Padding::kSame, .groups = 2}},
      {{1, 4, 4, 3}, {3, 3, 1, 6}, {.padding = Padding::kSame, .groups = 3}},
      {{0, 4, 4, 2}, {3, 3, 2, 2}},
  };
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(c.x.to_string() + " * " + c.kernel.to_string());
    check_gradients([&](Inputs in) { return ops::conv2d(in[0], in[1], c.options); },
                    {random_tensor(c.x, 1), random_tensor(c.kernel, 2)}, {.batched = {0}});
  }
}

TEST(PoolGradientTest, MaxAndAverage) {
  const Tensor x = random_tensor({2, 5, 4, 2}, 3);
  for (const ops::Pool2DOptions& options :
       {ops::Pool2DOptions{}, ops::Pool2DOptions{.padding = Padding::kSame},
        ops::Pool2DOptions{.pool_size = {3, 2}, .strides = {1, 2}, .padding = Padding::kSame},
        ops::Pool2DOptions{.pool_size = {2, 3}, .strides = {1, 1}}}) {
    check_gradients([&](Inputs in) { return ops::max_pool2d(in[0], options); }, {x},
                    {.order = 1, .batched = {0}});
    check_gradients([&](Inputs in) { return ops::avg_pool2d(in[0] * in[0], options); }, {x},
                    {.batched = {0}});
  }
  check_gradients([](Inputs in) { return ops::max_pool2d(in[0]); },
                  {Tensor(DType::kF64, {0, 4, 4, 1})}, {.order = 1, .batched = {0}});
  check_gradients([](Inputs in) { return ops::global_avg_pool2d(in[0] * in[0]); }, {x});
  check_gradients([](Inputs in) { return ops::global_max_pool2d(in[0], true); }, {x});
}

TEST(NormGradientTest, BatchStatistics) {
  const Tensor gamma = random_tensor({3}, 2), beta = random_tensor({3}, 3);
  const auto f = [](Inputs in) { return ops::batch_norm(in[0], in[1], in[2], 1e-3).y; };
  check_gradients(f, {random_tensor({6, 3}, 1), gamma, beta}, {.order = 1, .batched = {0}});
  check_gradients(f, {random_tensor({2, 3, 2, 3}, 1), gamma, beta}, {.order = 1});
}

TEST(NormGradientTest, NoRowsGiveNoStatistics) {
  const auto out = evaluate(
      [](Inputs in) {
        const auto norm = ops::batch_norm(in[0], in[1], in[1], 1e-3);
        const auto d = gradients(norm.y, in);
        return std::vector<Value>{norm.y, norm.mean, norm.variance, d[1].dense()};
      },
      {Tensor(DType::kF64, {0, 3}), random_tensor({3}, 1)}, std::vector<int>{0});
  EXPECT_EQ(out[0].shape(), (Shape{0, 3}));
  for (int i : {1, 2, 3}) EXPECT_EQ(elements(out[i]), (std::vector<double>{0, 0, 0}));
}

TEST(NormGradientTest, GivenStatistics) {
  Tensor variance = random_tensor({3}, 4);
  for (int i = 0; i < 3; ++i) variance.data<double>()[i] = 0.5 + i;
  check_gradients(
      [](Inputs in) { return ops::batch_norm_inference(in[0], in[1], in[2], in[3], in[4], 1e-3); },
      {random_tensor({4, 3}, 1), random_tensor({3}, 2), random_tensor({3}, 3),
       random_tensor({3}, 5), variance});
}

TEST(SoftmaxGradientTest, SoftmaxAndLogSoftmax) {
  for (auto op : {ops::softmax, ops::log_softmax}) {
    const auto f = [&](Inputs in) { return op(in[0] * 2); };
    check_gradients(f, {random_tensor({3, 5}, 1)}, {.batched = {0}});
    check_gradients(f, {random_tensor({2, 3, 4}, 1)});
    check_gradients(f, {Tensor(DType::kF64, {0, 4})}, {.batched = {0}});
  }
}

TEST(SoftmaxGradientTest, CrossEntropies) {
  const Tensor logits = random_tensor({4, 5}, 1);
  const auto sparse = [](Inputs in) { return ops::sparse_softmax_cross_entropy(in[0], in[1]); };
  check_gradients(sparse, {logits, Tensor::from<int32_t>({0, 4, 2, 2})}, {.batched = {0, 1}});
  check_gradients(sparse, {Tensor(DType::kF64, {0, 5}), Tensor(DType::kI32, {0})},
                  {.batched = {0, 1}});
  // Labels that do not sum to one have a gradient too.
  check_gradients([](Inputs in) { return ops::softmax_cross_entropy(in[0], in[1]); },
                  {logits, random_tensor({4, 5}, 2)}, {.batched = {0, 1}});
  check_gradients([](Inputs in) { return ops::sigmoid_cross_entropy(in[0], in[1]); },
                  {logits, random_tensor({4, 5}, 2)}, {.batched = {0, 1}});
}

TEST(SoftmaxGradientTest, SigmoidCrossEntropyIsRightAtZero) {
  const auto out = evaluate(
      [](Inputs in) {
        const Value loss = ops::sigmoid_cross_entropy(in[0], in[1]);
        return std::vector<Value>{loss, gradients(loss, in).front().dense()};
      },
      {Tensor::from({0.0, 800.0, -800.0}), Tensor::from({1.0, 0.0, 0.0})});
  expect_near(out[0], Tensor::from({0.69314718055994531, 800.0, 0.0}), 1e-15, "loss");
  expect_near(out[1], Tensor::from({-0.5, 1.0, 0.0}), 1e-15, "gradient");
}

TEST(RandomGradientTest, DropoutsMaskStaysFromRunToRun) {
  check_gradients([](Inputs in) { return ops::dropout(in[0] * in[0], 0.4, 7); },
                  {random_tensor({4, 6}, 1)}, {.batched = {0}});
  check_gradients([](Inputs in) { return ops::dropout(in[0], 1); }, {random_tensor({4}, 1)});
}

TEST(RandomGradientTest, DropoutKeepsItsShareAndScales) {
  const auto out = evaluate([](Inputs in) { return std::vector<Value>{ops::dropout(in[0], 0.25)}; },
                            {Tensor::full(DType::kF64, {10000}, 3)});
  int kept = 0;
  for (double y : elements(out[0])) {
    EXPECT_TRUE(y == 0 || y == 4);
    kept += y != 0;
  }
  EXPECT_NEAR(kept, 7500, 200);
}

}  // namespace
}  // namespace cohort::testing
