#include "cohort/core/ops/math.h"

#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/reduce.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_invalid;

class MathOpTest : public testing::OpTest {};

TEST_F(MathOpTest, UnaryOpsKeepTypeAndSymbols) {
  const Value x = input({N, 3}, DType::kF64);
  for (auto f : {ops::neg, ops::exp, ops::tanh, ops::softplus, ops::erf, ops::relu}) {
    EXPECT_EQ(f(x).shape(), (Shape{N, 3}));
    EXPECT_EQ(f(x).dtype(), DType::kF64);
  }
  EXPECT_EQ(ops::is_finite(x).dtype(), DType::kBool);
}

TEST_F(MathOpTest, UnaryOpsNameTheDtypesThatTheyTake) {
  const Value i = input({2}, DType::kI32), b = input({2}, DType::kBool);
  EXPECT_EQ(ops::abs(i).dtype(), DType::kI32);
  expect_invalid({"exp: got int32 [2]; want a floating dtype"}, [&] { ops::exp(i); });
  expect_invalid({"neg: got bool [2]"}, [&] { ops::neg(b); });
  expect_invalid({"logical_not: got int32 [2]; want bool"}, [&] { ops::logical_not(i); });
}

TEST_F(MathOpTest, BinaryOpsBroadcastLikeNumPy) {
  EXPECT_EQ((input({N, 3}) + input({3})).shape(), (Shape{N, 3}));
  EXPECT_EQ((input({4, 1, 3}) * input({2, 1})).shape(), (Shape{4, 2, 3}));
  EXPECT_EQ((input({}) - input({N, T})).shape(), (Shape{N, T}));
  EXPECT_EQ((input({0, 3}) / input({1, 3})).shape(), (Shape{0, 3}));
  EXPECT_EQ(ops::less(input({N, 1}), input({5})).type(), (TensorType{DType::kBool, {N, 5}}));
}

TEST_F(MathOpTest, ShapesThatDoNotBroadcastAreRefused) {
  expect_invalid({"add: got shapes [N, 3] and [4]"}, [&] { ops::add(input({N, 3}), input({4})); });
  expect_invalid({"mul: got shapes [N] and [M]"}, [&] { ops::mul(input({N}), input({M})); });
  expect_invalid({"sub: got float32 [2] and float64 [2]; want equal dtypes"},
                 [&] { ops::sub(input({2}), input({2}, DType::kF64)); });
  expect_invalid({"logical_and: got float32"}, [&] { ops::logical_and(input({2}), input({2})); });
}

TEST_F(MathOpTest, TheLayersNameStandsInFront) {
  NameScope outer("model"), inner("dense_1");
  expect_invalid({"model/dense_1: add: got shapes"}, [&] { ops::add(input({2}), input({3})); });
}

TEST_F(MathOpTest, NumbersTakeTheDtypeBesideThem) {
  EXPECT_EQ((input({2}, DType::kF16) * 2.0).dtype(), DType::kF16);
  EXPECT_EQ((1.0 - input({2}, DType::kI64)).dtype(), DType::kI64);
}

TEST_F(MathOpTest, NumbersThatIntegersDoNotHoldAreRefused) {
  const Value i = input({2}, DType::kI64), byte = input({2}, DType::kU8);
  expect_invalid({"scalar: got 0.5 for int64; want a number that it holds"}, [&] { i * 0.5; });
  expect_invalid({"scalar: got 2.5 for int64"}, [&] { 2.5 - i; });
  expect_invalid({"scalar: got 256 for uint8"}, [&] { byte + 256; });
  expect_invalid({"scalar: got -1 for uint8"}, [&] { byte + -1; });
  expect_invalid({"fill: got 0.1 for int32"}, [&] { ops::fill({2}, DType::kI32, 0.1); });
  EXPECT_EQ((byte + 255).dtype(), DType::kU8);
  EXPECT_EQ((input({2}) * 0.5).dtype(), DType::kF32);
}

TEST_F(MathOpTest, SelectBroadcastsItsThreeInputs) {
  const Value y = ops::where(input({N, 1}, DType::kBool), input({5}), input({}));
  EXPECT_EQ(y.shape(), (Shape{N, 5}));
  expect_invalid({"where: condition: got float32"},
                 [&] { ops::where(input({2}), input({2}), input({2})); });
  expect_invalid({"where: got float32 [2] and int32 [2]; want equal dtypes"}, [&] {
    ops::where(input({2}, DType::kBool), input({2}), input({2}, DType::kI32));
  });
}

TEST_F(MathOpTest, CastToTheSameDtypeRecordsNothing) {
  const Value x = input({2});
  EXPECT_EQ(ops::cast(x, DType::kF32), x);
  EXPECT_EQ(ops::cast(x, DType::kI32).dtype(), DType::kI32);
}

TEST_F(MathOpTest, ClipAndAddNCheckTheirArguments) {
  EXPECT_EQ(ops::clip(input({N}), -1, 1).shape(), (Shape{N}));
  expect_invalid({"clip: got low 2, high 1"}, [&] { ops::clip(input({N}), 2, 1); });
  expect_invalid({"add_n: got shapes [2] and [3]"}, [&] {
    ops::add_n(std::vector<Value>{input({2}), input({3})});
  });
  expect_invalid({"add_n: got 0 values"}, [] { ops::add_n({}); });
}

TEST_F(MathOpTest, NoGradientFlowsThroughStepFunctions) {
  const Value x = input({3}), b = input({3});
  for (Value y : {ops::floor(x), ops::round(x), ops::sign(x), ops::stop_gradient(x),
                  ops::cast(ops::greater(x, b), DType::kF32),
                  ops::cast(ops::cast(x, DType::kI32), DType::kF32)})
    EXPECT_TRUE(gradient(y, x).absent());
}

TEST_F(MathOpTest, GradientOfEqualShapesSumsNothing) {
  const Value a = input({N, 3}), b = input({N, 3});
  gradients(a * b, std::vector<Value>{a, b});
  EXPECT_EQ(count("ReduceSum"), 0);
  EXPECT_EQ(count("Reshape"), 0);
}

TEST_F(MathOpTest, GradientHasTheOperandsShape) {
  const Value a = input({N, 1, 3}), b = input({2, 1}), c = input({});
  const auto d = gradients(ops::pow(a * b, c), std::vector<Value>{a, b, c});
  EXPECT_EQ(d[0].dense().shape(), (Shape{N, 1, 3}));
  EXPECT_EQ(d[1].dense().shape(), (Shape{2, 1}));
  EXPECT_EQ(d[2].dense().shape(), Shape{});
}

}  // namespace
}  // namespace cohort
