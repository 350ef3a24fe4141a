#include "cohort/core/ops/pool.h"

#include "cohort/core/ops/math.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using ops::Padding;
using testing::expect_error;
using testing::expect_invalid;

class PoolOpTest : public testing::OpTest {};

TEST_F(PoolOpTest, StridesDefaultToThePool) {
  EXPECT_EQ(ops::max_pool2d(input({N, 7, 6, 3})).shape(), (Shape{N, 3, 3, 3}));
  EXPECT_EQ(ops::avg_pool2d(input({N, 7, 6, 3}), {.padding = Padding::kSame}).shape(),
            (Shape{N, 4, 3, 3}));
  EXPECT_EQ(ops::avg_pool2d(input({N, 7, 6, 3}), {.pool_size = {3, 3}, .strides = {1, 2}}).shape(),
            (Shape{N, 5, 2, 3}));
}

TEST_F(PoolOpTest, MaxPoolTellsWhereItsElementsWere) {
  Node* node = ops::max_pool2d(input({N, 4, 4, 1}, DType::kF64)).node();
  ASSERT_EQ(node->num_outputs(), 2);
  EXPECT_EQ(node->output(1).type(), (TensorType{DType::kU8, {N, 2, 2, 1}}));
}

TEST_F(PoolOpTest, RefusesPoolsThatDoNotFit) {
  expect_invalid({"max_pool2d: got a window of 5 x 5 for x [N, 4, 4, 1]"}, [&] {
    ops::max_pool2d(input({N, 4, 4, 1}), {.pool_size = {5, 5}});
  });
  expect_invalid({"avg_pool2d: got x [N, 4]"}, [&] { ops::avg_pool2d(input({N, 4})); });
  expect_invalid({"a pool of 0 x 2"}, [&] {
    ops::avg_pool2d(input({N, 4, 4, 1}), {.pool_size = {0, 2}});
  });
  expect_error(Code::kUnimplemented, {"max_pool2d: got a pool of 16 x 16"}, [&] {
    ops::max_pool2d(input({N, 32, 32, 1}), {.pool_size = {16, 16}});
  });
}

TEST_F(PoolOpTest, GlobalPoolsReduceTheImage) {
  EXPECT_EQ(ops::global_avg_pool2d(input({N, 4, 4, 3})).shape(), (Shape{N, 3}));
  EXPECT_EQ(ops::global_max_pool2d(input({N, 4, 4, 3}), true).shape(), (Shape{N, 1, 1, 3}));
  expect_invalid({"global_avg_pool2d: got x [N, 4]"}, [&] {
    ops::global_avg_pool2d(input({N, 4}));
  });
}

TEST_F(PoolOpTest, GradientsHaveTheImagesShape) {
  const Value x = input({N, 5, 5, 2});
  EXPECT_EQ(gradient(ops::max_pool2d(x), x).dense().shape(), x.shape());
  EXPECT_EQ(gradient(ops::avg_pool2d(x), x).dense().shape(), x.shape());
}

TEST_F(PoolOpTest, SecondOrderThroughMaxPoolIsRefused) {
  const Value x = input({N, 4, 4, 2}), y = ops::max_pool2d(x);
  const Value dx = gradient(y * y, x).dense();
  expect_error(Code::kUnimplemented, {"MaxPool2DGrad"}, [&] { gradient(dx, x); });
}

}  // namespace
}  // namespace cohort
