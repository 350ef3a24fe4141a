#include <gtest/gtest.h>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/reduce.h"
#include "tests/support/gradient_check.h"

namespace cohort::testing {
namespace {

using Inputs = std::span<const Value>;

TEST(ArrayGradientTest, MovingElementsMovesGradients) {
  const Tensor x = random_tensor({2, 4, 6}, 1);
  const std::vector<Value (*)(Value)> functions = {
      [](Value v) {
        return ops::reshape(v * v, {v.shape()[0], 24});
      },
      [](Value v) {
        return ops::transpose(v * v, {2, 0, 1});
      },
      [](Value v) { return ops::flatten(v * v, 0, 2); },
      [](Value v) { return ops::expand_dims(v * v, 1); },
      [](Value v) { return ops::slice_axis(v * v, 2, 1, 5); },
      [](Value v) {
        return ops::slice(v * v, {0, 1, 0}, {ops::kWholeAxis, 4, 6}, {1, 2, 4});
      },
      [](Value v) { return ops::slice_axis(v * v, 0, 1, ops::kWholeAxis); },
      [](Value v) {
        return ops::pad(v * v, {0, 1, 2}, {0, 0, 3}, 7);
      },
      [](Value v) {
        return ops::pad(v * v, {2, 0, 0}, {0, 0, 0});
      },
      [](Value v) { return ops::broadcast_to(ops::expand_dims(v * v, 0), Shape{3} + v.shape()); },
      [](Value v) {
        return ops::concat({v, v * v, v}, 2);
      },
      [](Value v) { return ops::split(v * v, 3, 2)[1]; },
      [](Value v) {
        return ops::sum_to_shape(v * v, {4, 1});
      },
  };
  for (size_t i = 0; i < functions.size(); ++i) {
    SCOPED_TRACE("function " + std::to_string(i));
    check_gradients([&](Inputs in) { return functions[i](in[0]); }, {x}, {.batched = {0}});
  }
}

TEST(ArrayGradientTest, ConcatOfDifferentSizesAndNoRows) {
  const auto f = [](Inputs in) { return ops::concat({in[0] * in[0], in[1]}, 1); };
  check_gradients(f, {random_tensor({2, 3}, 1), random_tensor({2, 5}, 2)}, {.batched = {0, 1}});
  check_gradients(f, {Tensor(DType::kF64, {0, 3}), Tensor(DType::kF64, {0, 5})},
                  {.batched = {0, 1}});
}

TEST(ArrayGradientTest, SizesDerivedFromSymbolsAreBound) {
  const Tensor x = random_tensor({3, 2}, 1);
  const auto out = evaluate(
      [](Inputs in) {
        const Value twice = ops::concat({in[0], in[0]}, 0);
        return std::vector<Value>{ops::flatten(twice, 0, 2), ops::slice_axis(in[0], 0, 2, -1)};
      },
      {x}, std::vector<int>{0});
  EXPECT_EQ(out[0].shape(), (Shape{12}));
  EXPECT_EQ(out[1].shape(), (Shape{1, 2}));
  EXPECT_EQ(elements(out[1]), elements(x.slice(0, 2, 3)));
}

TEST(ArrayGradientTest, GatherAndScatter) {
  const Tensor table = random_tensor({5, 3}, 1);
  const Tensor indices = Tensor::from<int64_t>({4, 0, 4, 2, 1, 4}, Shape{2, 3});
  check_gradients([](Inputs in) { return ops::gather(in[0], in[1]) * 2; }, {table, indices});
  check_gradients(
      [](Inputs in) {  // two gathers and a dense use: slices are joined, then made dense
        return ops::reduce_sum(ops::gather(in[0], in[1]) * ops::gather(in[0] * in[0], in[1])) +
               ops::reduce_sum(in[0] * in[0]);
      },
      {table, indices});
  check_gradients([](Inputs in) { return ops::gather(in[0], in[1]); },
                  {table, Tensor(DType::kI32, {0})}, {.batched = {1}});
  check_gradients(
      [](Inputs in) {
        return ops::slices_to_dense({in[0], in[1] * in[1], Shape{4, 2}});
      },
      {Tensor::from<int32_t>({3, 1, 3}), random_tensor({3, 2}, 2)});
}

TEST(ArrayGradientTest, EqualIndicesAdd) {
  const auto out = evaluate(
      [](Inputs in) {
        return std::vector<Value>{ops::slices_to_dense({in[0], in[1], Shape{3, 2}})};
      },
      {Tensor::from<int32_t>({2, 0, 2}), Tensor::from({1., 2., 3., 4., 5., 6.}, Shape{3, 2})});
  EXPECT_EQ(elements(out[0]), (std::vector<double>{3, 4, 0, 0, 6, 8}));
}

TEST(ArrayGradientTest, OneReplicasCollectivesAreTheIdentity) {
  const Tensor x = random_tensor({3, 2}, 1);
  const auto out = evaluate(
      [](Inputs in) {
        return std::vector<Value>{ops::all_gather(in[0], 0), ops::all_gather(in[0], 1),
                                  ops::all_reduce(in[0], ops::ReduceOp::kMean)};
      },
      {x}, std::vector<int>{0});
  expect_near(out[0], x, 0, "axis 0");
  expect_near(out[1], x, 0, "axis 1");
  expect_near(out[2], x, 0, "mean");
}

TEST(MatMulGradientTest, EveryTranspositionAndBroadcast) {
  for (bool ta : {false, true})
    for (bool tb : {false, true}) {
      SCOPED_TRACE(std::string(ta ? "a^T" : "a") + (tb ? " b^T" : " b"));
      const auto f = [&](Inputs in) { return ops::matmul(in[0], in[1], {ta, tb}); };
      const Shape a = ta ? Shape{4, 3} : Shape{3, 4}, b = tb ? Shape{2, 4} : Shape{4, 2};
      check_gradients(f, {random_tensor(a, 1), random_tensor(b, 2)});
      check_gradients(f, {random_tensor(Shape{2} + a, 1), random_tensor(Shape{2} + b, 2)});
      check_gradients(f, {random_tensor(Shape{2} + a, 1), random_tensor(b, 2)}, {.batched = {0}});
      check_gradients(f, {random_tensor(a, 1), random_tensor(Shape{2} + b, 2)});
      check_gradients(f, {random_tensor(Shape{2, 1} + a, 1), random_tensor(Shape{3} + b, 2)});
    }
}

TEST(MatMulGradientTest, NoRows) {
  const auto f = [](Inputs in) { return ops::matmul(in[0], in[1]); };
  check_gradients(f, {Tensor(DType::kF64, {0, 4}), random_tensor({4, 2}, 2)}, {.batched = {0}});
  check_gradients(f, {Tensor(DType::kF64, {3, 0}), Tensor(DType::kF64, {0, 2})});
}

}  // namespace
}  // namespace cohort::testing
