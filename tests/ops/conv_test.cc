#include "cohort/core/ops/conv.h"

#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using ops::Padding;
using testing::expect_invalid;

class ConvOpTest : public testing::OpTest {
 protected:
  std::vector<int64_t> pads(Value y) { return y.node()->attrs().get<std::vector<int64_t>>("pads"); }
};

TEST_F(ConvOpTest, ValidPaddingLosesTheBorder) {
  const Value y = ops::conv2d(input({N, 28, 27, 3}), input({3, 2, 3, 8}));
  EXPECT_EQ(y.shape(), (Shape{N, 26, 26, 8}));
}

TEST_F(ConvOpTest, SamePaddingPutsTheOddRowBelow) {
  const Value x = input({N, 28, 28, 3});
  const Value y = ops::conv2d(x, input({4, 3, 3, 8}), {.padding = Padding::kSame});
  EXPECT_EQ(y.shape(), (Shape{N, 28, 28, 8}));
  EXPECT_EQ(pads(y), (std::vector<int64_t>{1, 2, 1, 1}));
  const Value strided =
      ops::conv2d(x, input({3, 3, 3, 8}), {.strides = {2, 3}, .padding = Padding::kSame});
  EXPECT_EQ(strided.shape(), (Shape{N, 14, 10, 8}));
  EXPECT_EQ(pads(strided), (std::vector<int64_t>{0, 1, 1, 1}));
}

TEST_F(ConvOpTest, DilationWidensTheWindow) {
  const Value y = ops::conv2d(input({N, 9, 9, 1}), input({3, 3, 1, 1}), {.dilation = {2, 4}});
  EXPECT_EQ(y.shape(), (Shape{N, 5, 1, 1}));
}

TEST_F(ConvOpTest, GroupsDivideTheChannels) {
  EXPECT_EQ(ops::conv2d(input({N, 5, 5, 4}), input({1, 1, 2, 6}), {.groups = 2}).shape(),
            (Shape{N, 5, 5, 6}));
  expect_invalid({"conv2d: got x [N, 5, 5, 4], kernel [1, 1, 2, 5], groups 2"}, [&] {
    ops::conv2d(input({N, 5, 5, 4}), input({1, 1, 2, 5}), {.groups = 2});
  });
}

TEST_F(ConvOpTest, RefusesWrongImagesKernelsAndNumbers) {
  const Value x = input({N, 5, 5, 3}), k = input({3, 3, 3, 8});
  expect_invalid({"conv2d: got x [N, 5, 5]"}, [&] { ops::conv2d(input({N, 5, 5}), k); });
  expect_invalid({"conv2d: got x [N, T, 5, 3]"}, [&] { ops::conv2d(input({N, T, 5, 3}), k); });
  expect_invalid({"kernel [3, 3, 4, 8]"}, [&] { ops::conv2d(x, input({3, 3, 4, 8})); });
  expect_invalid({"got a window of 6 x 6 for x [N, 5, 5, 3]"}, [&] {
    ops::conv2d(x, input({6, 6, 3, 8}));
  });
  expect_invalid({"strides 0 x 1"}, [&] { ops::conv2d(x, k, {.strides = {0, 1}}); });
  expect_invalid({"dilation 1 x 0"}, [&] { ops::conv2d(x, k, {.dilation = {1, 0}}); });
  expect_invalid({"groups 0"}, [&] { ops::conv2d(x, k, {.groups = 0}); });
}

TEST_F(ConvOpTest, GradientsAreConvolutionsToAnyOrder) {
  const Value x = input({N, 6, 6, 2}), k = input({3, 3, 2, 4});
  const std::vector<Value> xs{x, k};
  auto d = gradients(ops::conv2d(x, k, {.strides = {2, 2}, .padding = Padding::kSame}), xs);
  for (int order = 1; order < 3; ++order) {
    EXPECT_EQ(d[0].dense().shape(), x.shape());
    EXPECT_EQ(d[1].dense().shape(), k.shape());
    const std::vector<Value> ys{d[0].dense(), d[1].dense()};
    d = gradients(ys, xs, ys);
  }
}

}  // namespace
}  // namespace cohort
