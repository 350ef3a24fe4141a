#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/fused.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/random.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/runtime/executable.h"
#include "cohort/core/runtime/passes.h"
#include "cohort/core/runtime/runtime.h"
#include "tests/support/thread_allocations.h"

namespace cohort {
namespace {

using Values = std::vector<Value>;

int count(const Graph& graph, std::string_view op) {
  return static_cast<int>(std::count_if(graph.nodes().begin(), graph.nodes().end(),
                                        [&](const auto& node) { return node->op_name() == op; }));
}

class FuseElementwiseTest : public ::testing::Test {
 protected:
  FuseElementwiseTest() { device_.bind_thread(); }

  Value input(Shape shape, DType dtype = DType::kF32) {
    return graph_.placeholder("x", {dtype, std::move(shape)});
  }

  GraphFunction fused(Values fetches, size_t smallest_bytes = 0) {
    const GraphFunction bound = bind(graph_, fetches, {});
    return fuse_elementwise(runtime_, device_, bound, smallest_bytes);
  }

  std::vector<Tensor> run(const Graph& graph, const Values& fetches,
                          const std::vector<Tensor>& inputs) {
    const auto executable =
        compile(runtime_, graph, fetches, {},
                {.device = &device_, .disabled_passes = {"fold", "cse", "fuse"}});
    for (size_t i = 0; i < inputs.size(); ++i)
      executable->set_input(static_cast<int>(i), inputs[i].raw());
    executable->run();
    executable->run();  // a second time on the same memory
    std::vector<Tensor> results;
    for (size_t i = 0; i < fetches.size(); ++i)
      results.push_back(executable->output(static_cast<int>(i)));
    return results;
  }

  /// Expects the same bits from the fused graph as from the other (NaN for NaN).
  void expect_same_bits(const Values& fetches, const std::vector<Tensor>& inputs,
                        const std::string& what) {
    const GraphFunction f = fused(fetches);
    EXPECT_GT(count(*f.graph, "FusedElementwise"), 0) << what;
    const auto want = run(graph_, fetches, inputs), got = run(*f.graph, f.fetches, inputs);
    for (size_t i = 0; i < want.size(); ++i) expect_equal(got[i], want[i], what);
  }

  static void expect_equal(const Tensor& got, const Tensor& want, const std::string& what) {
    ASSERT_EQ(got.shape(), want.shape()) << what;
    ASSERT_EQ(got.dtype(), want.dtype()) << what;
    const size_t size = size_of(got.dtype());
    const auto* a = static_cast<const char*>(got.raw());
    const auto* b = static_cast<const char*>(want.raw());
    const Tensor wide_a = got.cast(DType::kF64), wide_b = want.cast(DType::kF64);
    for (size_t i = 0; i < static_cast<size_t>(got.num_elements()); ++i) {
      if (std::memcmp(a + i * size, b + i * size, size) == 0) continue;
      const double x = wide_a.data<double>()[i], y = wide_b.data<double>()[i];
      ASSERT_TRUE(std::isnan(x) && std::isnan(y))
          << what << ": element " << i << ": got " << x << "; want " << y;
    }
  }

  Runtime& runtime_ = default_runtime();
  Device& device_ = runtime_.default_device();
  Graph graph_{runtime_.ops()};
  GraphScope scope_{graph_};
};

Tensor numbers(const Shape& shape, DType dtype, std::mt19937& random) {
  Tensor wide(DType::kF64, shape);
  for (int64_t i = 0; i < wide.num_elements(); ++i)
    wide.data<double>()[i] = std::uniform_real_distribution<>(-3, 3)(random);
  return wide.cast(dtype);
}

/// Records random elementwise ops, each on what was recorded last and something recorded before.
class RandomChain {
 public:
  RandomChain(std::mt19937& random, Values operands, DType dtype)
      : random_(random), operands_(std::move(operands)), last_(operands_[0]), dtype_(dtype) {}

  Value record(int length) {
    for (int i = 0; i < length; ++i) {
      Value next = step();
      if (next.dtype() != dtype_) next = ops::cast(next, dtype_);
      operands_.push_back(last_ = next);
    }
    return last_;
  }

 private:
  int pick(size_t n) {
    return std::uniform_int_distribution<>(0, static_cast<int>(n) - 1)(random_);
  }

  Value step() {
    using Unary = Value (*)(Value);
    using Binary = Value (*)(Value, Value);
    static constexpr Unary kAny[] = {ops::neg, ops::abs, ops::sign, ops::square, ops::relu};
    static constexpr Unary kFloating[] = {
        ops::exp,  ops::expm1, ops::log,     ops::log1p,      ops::sqrt,     ops::rsqrt,
        ops::sin,  ops::cos,   ops::tanh,    ops::erf,        ops::softplus, ops::floor,
        ops::ceil, ops::round, ops::sigmoid, ops::reciprocal, ops::is_finite};
    static constexpr Binary kBinary[] = {ops::add,     ops::sub,     ops::mul,
                                         ops::maximum, ops::minimum, ops::squared_difference};
    static constexpr Binary kCompare[] = {ops::equal,      ops::not_equal, ops::less,
                                          ops::less_equal, ops::greater,   ops::greater_equal};
    const Value other = operands_[static_cast<size_t>(pick(operands_.size()))];
    switch (pick(is_floating(dtype_) ? 7 : 5)) {
      case 0:
        return kAny[pick(std::size(kAny))](last_);
      case 1:
        return ops::where(kCompare[pick(std::size(kCompare))](last_, other), last_, other);
      case 2:
        return kCompare[pick(std::size(kCompare))](other, last_);
      case 3:
        return kBinary[pick(std::size(kBinary))](last_, other);
      case 4:
        return kBinary[pick(std::size(kBinary))](other, last_);
      case 5:
        return pick(2) ? last_ / other : ops::pow(ops::abs(last_), other);
      default:
        return kFloating[pick(std::size(kFloating))](last_);
    }
  }

  std::mt19937& random_;
  Values operands_;
  Value last_;
  DType dtype_;
};

class RandomChainTest : public FuseElementwiseTest, public ::testing::WithParamInterface<DType> {};

TEST_P(RandomChainTest, FusedAndUnfusedHaveTheSameBits) {
  const DType dtype = GetParam();
  const std::vector<std::vector<Shape>> cases = {
      {{7, 5}, {5}, {}, {7, 5}},                          // a block, rows
      {{300, 70}, {70}, {1}, {300, 1}},                   // several blocks of rows, columns too
      {{3, 9000}, {3, 1}, {9000}, {}},                    // rows longer than a block
      {{100003}, {100003}, {1}, {}},                      // flat, with a small last block
      {{0, 5}, {5}, {}, {0, 5}},                          // nothing
      {{4, 10, 6, 3}, {6, 3}, {1, 6, 3}, {4, 10, 1, 1}},  // more dimensions
      {{1}, {1}, {}, {1}},
  };
  std::mt19937 random(7);
  for (int round = 0; round < 5; ++round)
    for (const auto& shapes : cases) {
      Values operands;
      std::vector<Tensor> tensors;
      Graph graph(runtime_.ops());
      GraphScope scope(graph);
      for (const Shape& shape : shapes) {
        operands.push_back(graph.placeholder("x", {dtype, shape}));
        tensors.push_back(numbers(shape, dtype, random));
      }
      const Value result = RandomChain(random, operands, dtype).record(4 + round * 3);
      const GraphFunction f =
          fuse_elementwise(runtime_, device_, bind(graph, std::span(&result, 1), {}), 0);
      EXPECT_GT(count(*f.graph, "FusedElementwise"), 0);
      expect_equal(run(*f.graph, f.fetches, tensors)[0], run(graph, {result}, tensors)[0],
                   fmt::format("{} {}, round {}", dtype, shapes[0], round));
    }
}

INSTANTIATE_TEST_SUITE_P(DTypes, RandomChainTest,
                         ::testing::Values(DType::kF32, DType::kF64, DType::kBF16, DType::kF16,
                                           DType::kI32, DType::kI64, DType::kU8, DType::kI8),
                         [](const auto& info) { return fmt::format("{}", info.param); });

TEST_F(FuseElementwiseTest, AChainBecomesOneNodeThatKeepsTheLastName) {
  const Value x = input({64, 8}), b = input({8});
  const Value y = ops::tanh((x + b) * 2.0);
  const GraphFunction f = fused({y});
  EXPECT_EQ(count(*f.graph, "FusedElementwise"), 1);
  EXPECT_EQ(count(*f.graph, "Add") + count(*f.graph, "Mul") + count(*f.graph, "Tanh"), 0);
  EXPECT_EQ(f.fetches[0].node()->name(), y.node()->name());
}

TEST_F(FuseElementwiseTest, ADiamondInsideIsOneNode) {
  const Value x = input({64});
  const Value t = ops::exp(x);
  EXPECT_EQ(count(*fused({t * t + t}).graph, "FusedElementwise"), 1);
  EXPECT_EQ(count(*fused({t * t + t}).graph, "Exp"), 0);
}

TEST_F(FuseElementwiseTest, WhatOthersNeedStaysANodeOfItsOwn) {
  const Value x = input({64});
  const Value t = ops::exp(x), y = ops::tanh(ops::neg(t));
  EXPECT_EQ(count(*fused({y, t}).graph, "Exp"), 1);  // a fetch
  EXPECT_EQ(count(*fused({y, ops::reduce_sum(t)}).graph, "Exp"), 1);
}

TEST_F(FuseElementwiseTest, RandomOpsReductionsAndOtherShapesStay) {
  const Value x = input({64, 8});
  const Value y = ops::exp(ops::dropout(ops::tanh(x), 0.5)) * ops::exp(ops::reduce_sum(x));
  const GraphFunction f = fused({ops::neg(y)});
  EXPECT_EQ(count(*f.graph, "Dropout"), 1);
  EXPECT_EQ(count(*f.graph, "ReduceSum"), 1);
  EXPECT_EQ(count(*f.graph, "Tanh"), 1);  // alone between x and dropout
  EXPECT_EQ(count(*f.graph, "Exp"), 1);   // of one number
}

TEST_F(FuseElementwiseTest, IntegerDivisionStaysBecauseItCanFail) {
  const Value x = input({64}, DType::kI32), y = input({64}, DType::kI32);
  const GraphFunction f = fused({ops::neg(ops::neg(ops::div(ops::abs(x), y)))});
  EXPECT_EQ(count(*f.graph, "Div"), 1);
  EXPECT_EQ(count(*f.graph, "FusedElementwise"), 1);
}

TEST_F(FuseElementwiseTest, OperandsThatAreBroadcastInOtherWaysAreLeftOut) {
  const Value x = input({4, 5, 6}), middle = input({5, 1}), edge = input({4, 1, 6});
  const GraphFunction f = fused({ops::tanh(ops::exp(x * edge) + middle)});
  EXPECT_EQ(count(*f.graph, "Mul"), 1);
  std::mt19937 random(1);
  expect_same_bits({ops::tanh(ops::exp(x * edge) + 1.0)},
                   {numbers({4, 5, 6}, DType::kF32, random), numbers({5, 1}, DType::kF32, random),
                    numbers({4, 1, 6}, DType::kF32, random)},
                   "edge");
}

TEST_F(FuseElementwiseTest, NodesOfDifferentDevicesAreNotFused) {
  const Value x = input({64});
  const Value a = ops::exp(x);
  a.node()->set_device(DeviceName::parse("/cpu:0"));
  EXPECT_EQ(count(*fused({ops::neg(a)}).graph, "FusedElementwise"), 0);
}

TEST_F(FuseElementwiseTest, WhatFitsTheCachesIsLeftAlone) {
  const auto fused_at = [&](int64_t elements) {
    const Value x = input({elements});
    const GraphFunction f = fused({ops::neg(ops::exp(ops::tanh(x)))}, kSmallestFusedBytes);
    return count(*f.graph, "FusedElementwise");
  };
  constexpr int64_t kElements = kSmallestFusedBytes / 2 / sizeof(float);  // two values between
  EXPECT_EQ(fused_at(kElements - 1), 0);
  EXPECT_EQ(fused_at(kElements), 1);
}

TEST_F(FuseElementwiseTest, ALongChainIsCutIntoPieces) {
  Value x = input({64});
  for (int i = 0; i < 100; ++i) x = ops::tanh(x + 0.25);
  std::mt19937 random(2);
  expect_same_bits({x}, {numbers({64}, DType::kF32, random)}, "long");
  EXPECT_GT(count(*fused({x}).graph, "FusedElementwise"), 5);
}

TEST_F(FuseElementwiseTest, GradientsOfAnActivationHaveTheSameBits) {
  const Value x = input({500, 130});
  const Value y = x * (ops::erf(x * 0.7071) + 1.0) * 0.5;
  const Gradient dx = gradients(ops::reduce_sum(y * y), std::span(&x, 1)).front();
  std::mt19937 random(3);
  expect_same_bits({ops::reduce_sum(y), dx.dense()}, {numbers({500, 130}, DType::kF32, random)},
                   "gelu");
}

TEST_F(FuseElementwiseTest, AFusedStepAllocatesNothing) {
  const Value x = input({300, 300});
  const GraphFunction f = fused({ops::tanh(ops::exp(x) * 0.5 + x)});
  const auto executable =
      compile(runtime_, *f.graph, f.fetches, {}, {.device = &device_, .disabled_passes = {"fuse"}});
  std::mt19937 random(4);
  const Tensor tensor = numbers({300, 300}, DType::kF32, random);
  executable->set_input(0, tensor.raw());
  executable->run();
  const int64_t before = test::thread_allocations();
  executable->run();
  EXPECT_EQ(test::thread_allocations(), before);
}

TEST(FusedWalkTest, SaysHowInputsMove) {
  using Input = ops::FusedWalk::Input;
  const std::vector<Shape> inputs = {{2, 3, 4}, {4}, {}, {2, 1, 4}};
  EXPECT_FALSE(ops::plan_fused_walk({2, 3, 4}, inputs));
  const auto walk = ops::plan_fused_walk({2, 3, 4}, std::span(inputs).first(3));
  ASSERT_TRUE(walk);
  EXPECT_EQ(walk->rows, 6);
  EXPECT_EQ(walk->columns, 4);
  EXPECT_EQ(walk->inputs, (std::vector<Input>{{true, true}, {false, true}, {false, false}}));
  const std::vector<Shape> column = {{2, 1, 1}, {3, 4}};
  const auto both = ops::plan_fused_walk({2, 3, 4}, column);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->rows, 2);
  EXPECT_EQ(both->inputs, (std::vector<Input>{{true, false}, {false, true}}));
}

}  // namespace
}  // namespace cohort
