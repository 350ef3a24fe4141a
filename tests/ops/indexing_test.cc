#include "cohort/core/ops/indexing.h"

#include "cohort/core/ops/math.h"
#include "cohort/core/symbol.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_error;
using testing::expect_invalid;

class IndexingOpTest : public testing::OpTest {};

TEST_F(IndexingOpTest, GatherReplacesIndicesByRows) {
  EXPECT_EQ(ops::gather(input({100, 8}), input({N, T}, DType::kI32)).shape(), (Shape{N, T, 8}));
  EXPECT_EQ(ops::gather(input({100}), input({}, DType::kI64)).shape(), Shape{});
  expect_invalid({"gather: got indices of float32 [N]; want int32 or int64"}, [&] {
    ops::gather(input({100, 8}), input({N}));
  });
  expect_invalid({"gather: got params []"},
                 [&] { ops::gather(input({}), input({N}, DType::kI32)); });
}

TEST_F(IndexingOpTest, GathersGradientIsSlices) {
  const Value table = input({100, 8}), indices = input({N, T}, DType::kI32);
  const Gradient d = gradient(ops::gather(table, indices), table);
  ASSERT_TRUE(d.is_slices());
  EXPECT_EQ(d.slices().indices.shape(), (Shape{multiply(N, T)}));
  EXPECT_EQ(d.slices().values.shape(), (Shape{multiply(N, T), 8}));
  EXPECT_EQ(d.slices().dense_shape, (Shape{100, 8}));
  EXPECT_EQ(d.dense().shape(), (Shape{100, 8}));
}

TEST_F(IndexingOpTest, SlicesOfOneTableAreJoined) {
  const Value table = input({100, 8});
  const Value y = ops::gather(table, input({N}, DType::kI32));
  const Value z = ops::gather(table, input({M}, DType::kI32));
  const std::vector<Value> ys{y, z};
  const Gradient d = gradients(ys, std::vector<Value>{table}).front();
  ASSERT_TRUE(d.is_slices());
  EXPECT_EQ(d.slices().values.shape(), (Shape{add(N, M), 8}));
}

TEST_F(IndexingOpTest, SlicesAndDenseGradientsBecomeDense) {
  const Value table = input({100, 8});
  const std::vector<Value> ys{ops::gather(table, input({N}, DType::kI32)), ops::square(table)};
  const Gradient d = gradients(ys, std::vector<Value>{table}).front();
  EXPECT_FALSE(d.is_slices());
  EXPECT_EQ(d.dense().shape(), (Shape{100, 8}));
}

TEST_F(IndexingOpTest, SlicesMustFitTheirTable) {
  expect_invalid({"slices_to_dense: got indices [N], values [N, 7] for shape [100, 8]"}, [&] {
    ops::slices_to_dense({input({N}, DType::kI32), input({N, 7}), Shape{100, 8}});
  });
}

TEST_F(IndexingOpTest, OneHotAndArgMaxChangeTheLastAxis) {
  EXPECT_EQ(ops::one_hot(input({N}, DType::kU8), 10).type(), (TensorType{DType::kF32, {N, 10}}));
  EXPECT_EQ(ops::argmax(input({N, 10}), -1).type(), (TensorType{DType::kI64, {N}}));
  EXPECT_EQ(ops::argmax(input({0, 10}), 1).shape(), (Shape{0}));
  expect_invalid({"one_hot: got indices of float32"}, [&] { ops::one_hot(input({N}), 10); });
  expect_invalid({"argmax: got axis 1 of shape [N, 0]"}, [&] { ops::argmax(input({N, 0}), 1); });
  expect_invalid({"argmax: got axis 2"}, [&] { ops::argmax(input({N, 3}), 2); });
}

}  // namespace
}  // namespace cohort
