#include "cohort/core/ops/reduce.h"

#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_invalid;

class ReduceOpTest : public testing::OpTest {};

TEST_F(ReduceOpTest, RemovesOrKeepsTheReducedAxes) {
  const Value x = input({N, 4, 5});
  EXPECT_EQ(ops::reduce_sum(x).shape(), Shape{});
  EXPECT_EQ(ops::reduce_mean(x, {.axis = {-1}}).shape(), (Shape{N, 4}));
  EXPECT_EQ(ops::reduce_max(x, {.axis = {0}, .keepdims = true}).shape(), (Shape{1, 4, 5}));
  EXPECT_EQ(ops::reduce_prod(x, {.axis = {2, 0}}).shape(), (Shape{4}));
  EXPECT_EQ(ops::reduce_sum(input({})).shape(), Shape{});
}

TEST_F(ReduceOpTest, AxesAreRecordedSortedAndPositive) {
  const Value y = ops::reduce_sum(input({2, 3, 4}), {.axis = {-1, 0}});
  EXPECT_EQ(y.node()->attrs().get<std::vector<int64_t>>("axis"), (std::vector<int64_t>{0, 2}));
}

TEST_F(ReduceOpTest, RefusesWrongAxesAndDtypes) {
  const Value x = input({2, 3}), b = input({2}, DType::kBool), i = input({2}, DType::kI32);
  expect_invalid({"reduce_sum: got axis 2 for shape [2, 3]"},
                 [&] { ops::reduce_sum(x, {.axis = {2}}); });
  expect_invalid({"reduce_max: got an axis of shape [2, 3] twice"}, [&] {
    ops::reduce_max(x, {.axis = {1, -1}});
  });
  expect_invalid({"reduce_mean: got int32"}, [&] { ops::reduce_mean(i); });
  expect_invalid({"reduce_all: got float32 [2, 3]; want bool"}, [&] { ops::reduce_all(x); });
  expect_invalid({"reduce_sum: got bool"}, [&] { ops::reduce_sum(b); });
}

TEST_F(ReduceOpTest, SumToShapeUndoesBroadcasting) {
  const Value x = input({N, 4, 3});
  EXPECT_EQ(ops::sum_to_shape(x, {N, 4, 3}), x);
  EXPECT_EQ(ops::sum_to_shape(x, {3}).shape(), (Shape{3}));
  EXPECT_EQ(ops::sum_to_shape(x, {4, 1}).shape(), (Shape{4, 1}));
  EXPECT_EQ(ops::sum_to_shape(x, {}).shape(), Shape{});
  expect_invalid({"sum_to_shape: got [N, 4, 3]", "[5]"}, [&] { ops::sum_to_shape(x, {5}); });
  expect_invalid({"sum_to_shape"}, [&] { ops::sum_to_shape(x, {1, N, 4, 3}); });
}

TEST_F(ReduceOpTest, GradientsHaveTheInputsShapeForSymbolsToo) {
  const Value x = input({N, T, 5});
  for (Value y :
       {ops::reduce_sum(x), ops::reduce_mean(x, {.axis = {1}}), ops::reduce_mean(x, {.axis = {0}}),
        ops::reduce_max(x, {.axis = {0, 2}}), ops::reduce_prod(x, {.axis = {2}, .keepdims = true})})
    EXPECT_EQ(gradient(y, x).dense().shape(), x.shape());
}

}  // namespace
}  // namespace cohort
