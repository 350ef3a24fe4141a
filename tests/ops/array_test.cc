#include "cohort/core/ops/array.h"

#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/symbol.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_error;
using testing::expect_invalid;

class ArrayOpTest : public testing::OpTest {};

TEST_F(ArrayOpTest, ReshapeWantsAsManyElements) {
  EXPECT_EQ(ops::reshape(input({N, 28, 28}), {N, 784}).shape(), (Shape{N, 784}));
  EXPECT_EQ(ops::reshape(input({0, 3}), {0, 7}).shape(), (Shape{0, 7}));
  expect_invalid({"reshape: got [N, 783] for a value of shape [N, 28, 28]"}, [&] {
    ops::reshape(input({N, 28, 28}), {N, 783});
  });
  expect_invalid({"reshape: got [M] for a value of shape [N]"},
                 [&] { ops::reshape(input({N}), {M}); });
}

TEST_F(ArrayOpTest, FlattenMultipliesSymbols) {
  const Value x = input({N, T, 3});
  EXPECT_EQ(ops::flatten(x, 1, 3).shape(), (Shape{N, multiply(Dim(3), T)}));
  EXPECT_EQ(ops::flatten(x, 0, 2).shape(), (Shape{multiply(N, T), 3}));
  EXPECT_EQ(ops::reshape(ops::flatten(x, 0, 3), {N, T, 3}).shape(), (Shape{N, T, 3}));
  EXPECT_EQ(ops::flatten(input({}), 0, 0).shape(), (Shape{1}));
  expect_invalid({"flatten: got axes 2 to 4"}, [&] { ops::flatten(x, 2, 4); });
}

TEST_F(ArrayOpTest, TransposeWantsEachAxisOnce) {
  EXPECT_EQ(ops::transpose(input({N, 2, 3}), {2, 0, 1}).shape(), (Shape{3, N, 2}));
  expect_invalid({"transpose: got permutation [0, 0] for shape [2, 3]"}, [&] {
    ops::transpose(input({2, 3}), {0, 0});
  });
  expect_invalid({"transpose"}, [&] { ops::transpose(input({2, 3}), {0}); });
}

TEST_F(ArrayOpTest, ConcatAddsSizes) {
  EXPECT_EQ(ops::concat({input({N, 2}), input({N, 3})}, -1).shape(), (Shape{N, 5}));
  EXPECT_EQ(ops::concat({input({N, 2}), input({M, 2})}, 0).shape()[0].symbol(), "M+N");
  EXPECT_EQ(ops::concat({input({N}), input({3})}, 0).shape()[0].symbol(), "N+3");
  EXPECT_EQ(ops::concat({input({0, 2}), input({4, 2})}, 0).shape(), (Shape{4, 2}));
  expect_invalid({"concat: got shapes [N, 2] and [N, 3, 1]"}, [&] {
    ops::concat({input({N, 2}), input({N, 3, 1})}, 1);
  });
  expect_invalid({"concat: got 0 values"}, [] { ops::concat(std::vector<Value>{}, 0); });
}

TEST_F(ArrayOpTest, SliceTakesRangesWithinTheAxis) {
  const Value x = input({N, 10});
  EXPECT_EQ(ops::slice_axis(x, 1, 2, 5).shape(), (Shape{N, 3}));
  EXPECT_EQ(ops::slice(x, {0, 1}, {ops::kWholeAxis, 10}, {1, 4}).shape(), (Shape{N, 3}));
  EXPECT_EQ(ops::slice_axis(x, 1, 3, 3).shape(), (Shape{N, 0}));
  EXPECT_EQ(ops::slice_axis(x, 0, 1, ops::kWholeAxis).shape()[0].symbol(), "N-1");
  expect_invalid({"slice: got 2:11:1", "size 10 of [N, 10]"},
                 [&] { ops::slice_axis(x, 1, 2, 11); });
  expect_invalid({"slice: got 0:5:1", "size N", "not known"}, [&] { ops::slice_axis(x, 0, 0, 5); });
  expect_invalid({"stride of at least 1"}, [&] {
    ops::slice(x, {0, 0}, {ops::kWholeAxis, 10}, {1, 0});
  });
  expect_invalid({"one for each axis"}, [&] { ops::slice(x, {0}, {1}); });
}

TEST_F(ArrayOpTest, SplitGivesEqualPieces) {
  const auto parts = ops::split(input({N, 6}), 3, 1);
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[2].shape(), (Shape{N, 2}));
  expect_invalid({"split: got 4 parts of axis 1 of [N, 6]"}, [&] {
    ops::split(input({N, 6}), 4, 1);
  });
}

TEST_F(ArrayOpTest, PadGrowsAxes) {
  EXPECT_EQ(ops::pad(input({N, 3}), {0, 1}, {0, 2}).shape(), (Shape{N, 6}));
  EXPECT_EQ(ops::pad(input({N, 3}), {1, 0}, {1, 0}).shape()[0].symbol(), "N+2");
  expect_invalid({"pad: got -1 before"}, [&] { ops::pad(input({3}), {-1}, {0}); });
}

TEST_F(ArrayOpTest, DimensionsComeAndGo) {
  const Value x = input({N, 3});
  EXPECT_EQ(ops::expand_dims(x, -1).shape(), (Shape{N, 3, 1}));
  EXPECT_EQ(ops::expand_dims(x, 0).shape(), (Shape{1, N, 3}));
  EXPECT_EQ(ops::squeeze(ops::expand_dims(x, 1), 1).shape(), (Shape{N, 3}));
  expect_invalid({"squeeze: got axis 1 of shape [N, 3]"}, [&] { ops::squeeze(x, 1); });
  expect_invalid({"expand_dims: got axis 3"}, [&] { ops::expand_dims(x, 3); });
}

TEST_F(ArrayOpTest, BroadcastToWantsAShapeThatHoldsIt) {
  EXPECT_EQ(ops::broadcast_to(input({3}), {N, 3}).shape(), (Shape{N, 3}));
  expect_invalid({"broadcast_to"}, [&] { ops::broadcast_to(input({2, 3}), {3}); });
  expect_invalid({"broadcast_to"}, [&] { ops::broadcast_to(input({3}), {N, 1}); });
}

TEST_F(ArrayOpTest, NumRowsIsAScalarNumber) {
  EXPECT_EQ(ops::num_rows(input({N, 3})).type(), (TensorType{DType::kI64, {}}));
  expect_invalid({"num_rows: got a scalar"}, [&] { ops::num_rows(input({})); });
}

TEST_F(ArrayOpTest, GradientsHaveTheInputsShape) {
  const Value x = input({N, 4, 6});
  for (Value y : {ops::reshape(x, {N, 24}), ops::transpose(x, {2, 0, 1}), ops::concat({x, x}, 2),
                  ops::slice(x, {0, 1, 0}, {ops::kWholeAxis, 4, 6}, {1, 2, 3}),
                  ops::pad(x, {0, 1, 2}, {0, 3, 4}), ops::expand_dims(x, 2)})
    EXPECT_EQ(gradient(y, x).dense().shape(), x.shape());
  const Value row = input({6});
  EXPECT_EQ(gradient(ops::broadcast_to(row, {N, 4, 6}), row).dense().shape(), row.shape());
}

TEST_F(ArrayOpTest, GradientOfConcatAlongAnUnknownSizeSaysSo) {
  const Value x = input({N, 2}), y = input({M, 2});
  expect_error(Code::kUnimplemented, {"concat: got a gradient along axis 0 of [N, 2]"}, [&] {
    gradient(ops::concat({x, y}, 0), x);
  });
}

}  // namespace
}  // namespace cohort
