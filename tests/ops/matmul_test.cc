#include "cohort/core/ops/matmul.h"

#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_invalid;

class MatMulOpTest : public testing::OpTest {};

TEST_F(MatMulOpTest, ShapesFollowTheTranspositions) {
  EXPECT_EQ(ops::matmul(input({N, 4}), input({4, 5})).shape(), (Shape{N, 5}));
  EXPECT_EQ(ops::matmul(input({4, N}), input({4, 5}), {.transpose_a = true}).shape(),
            (Shape{N, 5}));
  EXPECT_EQ(ops::matmul(input({N, 4}), input({5, 4}), {.transpose_b = true}).shape(),
            (Shape{N, 5}));
  EXPECT_EQ(ops::matmul(input({0, 4}), input({4, 5})).shape(), (Shape{0, 5}));
}

TEST_F(MatMulOpTest, LeadingDimensionsBroadcast) {
  EXPECT_EQ(ops::matmul(input({N, T, 4}), input({4, 5})).shape(), (Shape{N, T, 5}));
  EXPECT_EQ(ops::matmul(input({N, 1, 3, 4}), input({2, 4, 5})).shape(), (Shape{N, 2, 3, 5}));
  expect_invalid({"matmul: got shapes [2] and [3]"}, [&] {
    ops::matmul(input({2, 3, 4}), input({3, 4, 5}));
  });
}

TEST_F(MatMulOpTest, RefusesWhatDoesNotMultiply) {
  expect_invalid({"matmul: got a [N, 4], b [5, 6]", "inner dimensions, not 4 and 5"}, [&] {
    ops::matmul(input({N, 4}), input({5, 6}));
  });
  expect_invalid({"a [4, N] (transposed)"}, [&] {
    ops::matmul(input({4, N}), input({5, 6}), {.transpose_a = true});
  });
  expect_invalid({"matmul: got a [4]"}, [&] { ops::matmul(input({4}), input({4, 5})); });
  expect_invalid({"matmul: got int32"}, [&] {
    ops::matmul(input({2, 2}, DType::kI32), input({2, 2}, DType::kI32));
  });
}

TEST_F(MatMulOpTest, GradientsHaveTheOperandsShapes) {
  for (bool ta : {false, true})
    for (bool tb : {false, true}) {
      const Value a = input(ta ? Shape{N, 2, 4, 3} : Shape{N, 2, 3, 4});
      const Value b = input(tb ? Shape{5, 4} : Shape{4, 5});
      const auto d = gradients(ops::matmul(a, b, {ta, tb}), std::vector<Value>{a, b});
      EXPECT_EQ(d[0].dense().shape(), a.shape());
      EXPECT_EQ(d[1].dense().shape(), b.shape());
    }
}

TEST_F(MatMulOpTest, GradientOfOneMatrixForAStackIsOneProduct) {
  const Value a = input({N, T, 4}), b = input({4, 5});
  gradient(ops::matmul(a, b), b);
  EXPECT_EQ(count("ReduceSum"), 0);
}

}  // namespace
}  // namespace cohort
