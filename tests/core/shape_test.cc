#include "cohort/core/shape.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace cohort {
namespace {

using testing::expect_error;
using testing::expect_invalid;

const Dim N{std::string("N")}, M{std::string("M")};

TEST(ShapeTest, PrintsNumbersAndSymbols) {
  EXPECT_EQ((Shape{N, 28, 28, 1}).to_string(), "[N, 28, 28, 1]");
  EXPECT_EQ(Shape{}.to_string(), "[]");
}

TEST(ShapeTest, CountsElementsOfConcreteShapesOnly) {
  EXPECT_EQ((Shape{2, 3, 4}).num_elements(), 24);
  EXPECT_EQ((Shape{2, 0, 4}).num_elements(), 0);
  EXPECT_EQ(Shape{}.num_elements(), 1);
  EXPECT_EQ((Shape{2, 3, 4}).num_elements(1, 3), 12);
  EXPECT_TRUE((Shape{2}).is_concrete());
  EXPECT_FALSE((Shape{N}).is_concrete());
  expect_error(Code::kInternal, {"symbol N"}, [] { (Shape{N, 2}).num_elements(); });
}

TEST(ShapeTest, DimensionsAreNotNegative) {
  expect_invalid({"got -1"}, [] { Dim(-1); });
  EXPECT_EQ(Dim(3), 3);
  EXPECT_FALSE(N == 3);
  EXPECT_FALSE(N == M);
}

TEST(ShapeTest, AxesCountFromBothEnds) {
  const Shape shape{N, 3, 4};
  EXPECT_EQ(shape.axis(-1, "f"), 2);
  EXPECT_EQ(shape.axis(0, "f"), 0);
  expect_invalid({"f: got axis 3 for shape [N, 3, 4]; want -3 to 2"}, [&] { shape.axis(3, "f"); });
  expect_invalid({"f: got axis -4"}, [&] { shape.axis(-4, "f"); });
}

TEST(ShapeTest, SlicesAndJoins) {
  const Shape shape{N, 3, 4};
  EXPECT_EQ(shape.slice(1), (Shape{3, 4}));
  EXPECT_EQ(shape.slice(0, 1) + Shape{7}, (Shape{N, 7}));
  EXPECT_EQ(shape.slice(3), Shape{});
}

TEST(ShapeTest, BroadcastsLikeNumPy) {
  EXPECT_EQ(broadcast({4, 1, 3}, {2, 1}, "f"), (Shape{4, 2, 3}));
  EXPECT_EQ(broadcast({}, {2}, "f"), (Shape{2}));
  EXPECT_EQ(broadcast({0, 3}, {1, 3}, "f"), (Shape{0, 3}));
  EXPECT_EQ(broadcast({1}, {0}, "f"), (Shape{0}));
  expect_invalid({"f: got shapes [0] and [2]"}, [] { broadcast({0}, {2}, "f"); });
}

TEST(ShapeTest, ASymbolBroadcastsWithItselfAndOne) {
  EXPECT_EQ(broadcast({N, 3}, {N, 1}, "f"), (Shape{N, 3}));
  EXPECT_EQ(broadcast({N, 3}, {1, 3}, "f"), (Shape{N, 3}));
  expect_invalid({"(N against M)"}, [] { broadcast({N}, {M}, "f"); });
  expect_invalid({"(N against 3)"}, [] { broadcast({N}, {3}, "f"); });
}

}  // namespace
}  // namespace cohort
