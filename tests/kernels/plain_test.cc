// The plain kernels against numbers worked out by hand.
#include <gmock/gmock.h>

#include <cmath>

#include "cohort/core/runtime/philox.h"
#include "tests/kernels/compare.h"

namespace cohort::testing {
namespace {

using ::testing::HasSubstr;
using Ints = std::vector<int64_t>;
using Doubles = std::vector<double>;

const DType kNumbers[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kF64,
                          DType::kI32, DType::kI64, DType::kI8};

Tensor make(DType dtype, const Doubles& values, Shape shape) {
  return Tensor::from(values, std::move(shape)).cast(dtype);
}

Doubles numbers(const Tensor& tensor) {
  const Tensor wide = tensor.cast(DType::kF64);
  const auto values = wide.values<double>();
  return {values.begin(), values.end()};
}

Doubles run_one(const KernelCase& test) { return numbers(run_kernel(test).outputs[0]); }

std::string error_of(const KernelCase& test) {
  try {
    run_kernel(test);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(PlainKernelTest, PhiloxGivesThePublishedVectors) {
  // The known answers of Random123 for philox4x32-10.
  EXPECT_EQ(philox_block(0, 0)[0], 0x6627e8d5u);
  EXPECT_EQ(philox_block(0, 0)[3], 0x9b00dbd8u);
}

TEST(PlainKernelTest, ArithmeticOnEveryDtype) {
  for (const DType dtype : kNumbers) {
    const Tensor a = make(dtype, {-7, 2, 9, 4}, {2, 2}), b = make(dtype, {2, -3}, {2});
    const bool integer = is_integer(dtype);
    EXPECT_EQ(run_one({.op = "Add", .inputs = {a, b}}), (Doubles{-5, -1, 11, 1}));
    EXPECT_EQ(run_one({.op = "Sub", .inputs = {a, b}}), (Doubles{-9, 5, 7, 7}));
    EXPECT_EQ(run_one({.op = "Mul", .inputs = {a, b}}), (Doubles{-14, -6, 18, -12}));
    EXPECT_EQ(run_one({.op = "FloorMod", .inputs = {a, b}}), (Doubles{1, -1, 1, -2}));
    EXPECT_EQ(run_one({.op = "Maximum", .inputs = {a, b}}), (Doubles{2, 2, 9, 4}));
    EXPECT_EQ(run_one({.op = "Minimum", .inputs = {a, b}}), (Doubles{-7, -3, 2, -3}));
    EXPECT_EQ(run_one({.op = "Square", .inputs = {a}}), (Doubles{49, 4, 81, 16}));
    EXPECT_EQ(run_one({.op = "Relu", .inputs = {a}}), (Doubles{0, 2, 9, 4}));
    if (integer) {
      EXPECT_EQ(run_one({.op = "Div", .inputs = {a, b}}), (Doubles{-3, 0, 4, -1}));
    }
  }
}

TEST(PlainKernelTest, IntegerDivisionByZeroIsAnError) {
  const Tensor a = make(DType::kI32, {1, 2}, {2}), b = make(DType::kI32, {1, 0}, {2});
  EXPECT_THAT(error_of({.op = "Div", .inputs = {a, b}}), HasSubstr("divisor 0 at element 1"));
  EXPECT_THAT(error_of({.op = "FloorMod", .inputs = {a, b}}), HasSubstr("divisor 0 at element 1"));
}

TEST(PlainKernelTest, LowestIntegerOverMinusOneWraps) {
  const Tensor a = Tensor::from({INT32_MIN}), b = Tensor::from({int32_t{-1}});
  EXPECT_EQ(run_one({.op = "Div", .inputs = {a, b}}), Doubles{INT32_MIN});
  EXPECT_EQ(run_one({.op = "FloorMod", .inputs = {a, b}}), Doubles{0});
}

TEST(PlainKernelTest, CastsTruncateAndSaturate) {
  const Tensor x = make(DType::kF32, {-1.9, 2.9, 300, NAN, -INFINITY}, {5});
  EXPECT_EQ(run_one({.op = "Cast", .inputs = {x}, .attrs = {{"dtype", DType::kI8}}}),
            (Doubles{-1, 2, 127, 0, -128}));
  EXPECT_EQ(run_one({.op = "Cast", .inputs = {x}, .attrs = {{"dtype", DType::kBool}}}),
            (Doubles{1, 1, 1, 1, 1}));
}

TEST(PlainKernelTest, RoundGoesToEven) {
  EXPECT_EQ(run_one({.op = "Round", .inputs = {make(DType::kF32, {0.5, 1.5, -2.5, 2.4}, {4})}}),
            (Doubles{0, 2, -2, 2}));
}

TEST(PlainKernelTest, SelectBroadcastsThreeInputs) {
  const Tensor condition = Tensor::from(std::vector<bool>{true, false}, {2, 1});
  EXPECT_EQ(run_one({.op = "Select",
                     .inputs = {condition, make(DType::kF32, {1, 2, 3}, {3}),
                                make(DType::kF32, {9}, {})}}),
            (Doubles{1, 2, 3, 9, 9, 9}));
}

TEST(PlainKernelTest, ReductionsOfNothing) {
  const auto reduce = [](const char* op) {
    return run_one({.op = op,
                    .inputs = {Tensor(DType::kF32, {0, 2})},
                    .attrs = {{"axis", Ints{0}}, {"keepdims", false}}});
  };
  EXPECT_EQ(reduce("ReduceSum"), (Doubles{0, 0}));
  EXPECT_EQ(reduce("ReduceProd"), (Doubles{1, 1}));
  EXPECT_EQ(reduce("ReduceMax"), (Doubles{-INFINITY, -INFINITY}));
  EXPECT_TRUE(std::isnan(reduce("ReduceMean")[0]));
}

TEST(PlainKernelTest, ReductionsOverSeparateAxes) {
  const Tensor x = make(DType::kI64, {1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2});
  const auto reduce = [&](const char* op) {
    return run_one({.op = op, .inputs = {x}, .attrs = {{"axis", Ints{0, 2}}, {"keepdims", true}}});
  };
  EXPECT_EQ(reduce("ReduceSum"), (Doubles{14, 22}));
  EXPECT_EQ(reduce("ReduceMax"), (Doubles{6, 8}));
  EXPECT_EQ(reduce("ReduceMin"), (Doubles{1, 3}));
}

TEST(PlainKernelTest, ReduceAnyAndAll) {
  const Tensor x = Tensor::from(std::vector<bool>{true, false, true, true}, {2, 2});
  const Attrs attrs{{"axis", Ints{1}}, {"keepdims", false}};
  EXPECT_EQ(run_one({.op = "ReduceAny", .inputs = {x}, .attrs = attrs}), (Doubles{1, 1}));
  EXPECT_EQ(run_one({.op = "ReduceAll", .inputs = {x}, .attrs = attrs}), (Doubles{0, 1}));
}

TEST(PlainKernelTest, MovesOfElements) {
  const Tensor x = make(DType::kF16, {1, 2, 3, 4, 5, 6}, {2, 3});
  EXPECT_EQ(run_one({.op = "Transpose", .inputs = {x}, .attrs = {{"permutation", Ints{1, 0}}}}),
            (Doubles{1, 4, 2, 5, 3, 6}));
  const Attrs slice{{"begin", Ints{0, 0}}, {"end", Ints{-1, 3}}, {"strides", Ints{1, 2}}};
  EXPECT_EQ(run_one({.op = "Slice", .inputs = {x}, .attrs = slice}), (Doubles{1, 3, 4, 6}));
  EXPECT_EQ(run_one({.op = "SliceGrad",
                     .inputs = {make(DType::kF16, {1, 2, 3, 4}, {2, 2}), x},
                     .attrs = slice}),
            (Doubles{1, 0, 2, 3, 0, 4}));
  EXPECT_EQ(run_one({.op = "Pad",
                     .inputs = {make(DType::kI32, {1, 2}, {1, 2})},
                     .attrs = {{"before", Ints{1, 0}}, {"after", Ints{0, 1}}, {"value", 7.0}}}),
            (Doubles{7, 7, 7, 1, 2, 7}));
  EXPECT_EQ(run_one({.op = "Concat",
                     .inputs = {x, make(DType::kF16, {8, 9}, {2, 1})},
                     .attrs = {{"axis", int64_t{1}}}}),
            (Doubles{1, 2, 3, 8, 4, 5, 6, 9}));
  EXPECT_EQ(run_one({.op = "BroadcastTo",
                     .inputs = {make(DType::kF32, {1, 2}, {2, 1})},
                     .attrs = {{"shape", Shape{2, 2, 2}}}}),
            (Doubles{1, 1, 2, 2, 1, 1, 2, 2}));
}

TEST(PlainKernelTest, GatherAndItsGradient) {
  const Tensor table = make(DType::kF32, {1, 2, 3, 4, 5, 6}, {3, 2});
  const Tensor indices = Tensor::from({int64_t{2}, int64_t{0}, int64_t{2}});
  EXPECT_EQ(run_one({.op = "Gather", .inputs = {table, indices}}), (Doubles{5, 6, 1, 2, 5, 6}));
  EXPECT_EQ(run_one({.op = "SlicesToDense",
                     .inputs = {indices, make(DType::kF32, {1, 2, 3, 4, 5, 6}, {3, 2})},
                     .attrs = {{"shape", Shape{3, 2}}}}),
            (Doubles{3, 4, 0, 0, 6, 8}));
  const Tensor wrong = Tensor::from({int64_t{0}, int64_t{3}});
  EXPECT_THAT(error_of({.op = "Gather", .inputs = {table, wrong}}),
              HasSubstr("got index 3 at position 1; want 0 to 2"));
}

TEST(PlainKernelTest, OneHotAndArgMax) {
  const Tensor indices = Tensor::from({int32_t{1}, int32_t{-1}});
  EXPECT_EQ(run_one({.op = "OneHot",
                     .inputs = {indices},
                     .attrs = {{"depth", int64_t{3}},
                               {"dtype", DType::kF32},
                               {"on_value", 5.0},
                               {"off_value", -1.0}}}),
            (Doubles{-1, 5, -1, -1, -1, -1}));
  const Tensor x = make(DType::kF32, {1, 3, 3, NAN, 2, 9}, {2, 3});
  EXPECT_EQ(run_one({.op = "ArgMax", .inputs = {x}, .attrs = {{"axis", int64_t{1}}}}),
            (Doubles{1, 0}));
  EXPECT_EQ(run_one({.op = "ArgMax", .inputs = {x}, .attrs = {{"axis", int64_t{0}}}}),
            (Doubles{1, 0, 1}));
}

TEST(PlainKernelTest, MaxPoolTakesTheFirstOfEqualPlaces) {
  const Attrs attrs{{"pool_size", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{0, 1, 0, 1}}};
  const Tensor x = make(DType::kF32, {1, 5, 2, 5, 3, 2, 7, 8, 9}, {1, 3, 3, 1});
  const KernelResult y = run_kernel({.op = "MaxPool2D", .inputs = {x}, .attrs = attrs});
  EXPECT_EQ(numbers(y.outputs[0]), (Doubles{5, 2, 8, 9}));
  EXPECT_EQ(numbers(y.outputs[1]), (Doubles{1, 0, 1, 0}));
}

TEST(PlainKernelTest, UniformNumbersAreWordsOfTheStream) {
  const StepState step{.seed = 4, .step = 2, .micro_step = 1, .row_offset = 3};
  const KernelCase test{.op = "RandomUniform",
                        .attrs = {{"shape", Shape{2, 5}},
                                  {"dtype", DType::kF32},
                                  {"low", 1.0},
                                  {"high", 3.0},
                                  {"seed", int64_t{-1}},
                                  {"stream", std::string("u")},
                                  {"batched", true}},
                        .step = step};
  const Doubles y = run_one(test);
  const uint64_t key = philox_key(4, philox_stream("u"), 2, 1);
  for (uint64_t i = 0; i < 10; ++i)
    EXPECT_EQ(y[i], 1 + 2 * philox_uniform_float(philox_word(key, 15 + i)));
}

TEST(PlainKernelTest, AssignsAreOfEveryDtype) {
  for (const DType dtype : kNumbers) {
    const Tensor value = make(dtype, {1, 2}, {2}), variable = make(dtype, {10, 20}, {2});
    const auto run = [&](const char* op) {
      return numbers(
          run_kernel({.op = op, .inputs = {value}, .variables = {variable}}).variables[0]);
    };
    EXPECT_EQ(run("Assign"), (Doubles{1, 2}));
    EXPECT_EQ(run("AssignAdd"), (Doubles{11, 22}));
    EXPECT_EQ(run("AssignSub"), (Doubles{9, 18}));
  }
}

TEST(PlainKernelTest, AdamTakesKerasFirstStep) {
  // t = 1: m = 0.1 g, v = 0.001 g^2, alpha = lr sqrt(0.001) / 0.1: p moves by lr (less epsilon's
  // part).
  const auto one = [](double x) { return make(DType::kF64, {x}, {1}); };
  const KernelResult result =
      run_kernel({.op = "AdamUpdate",
                  .inputs = {one(2), Tensor::scalar(0.5f), Tensor::scalar(int64_t{1}),
                             Tensor::full(DType::kBool, {}, 1)},
                  .attrs = {{"beta_1", 0.9},
                            {"beta_2", 0.999},
                            {"epsilon", 1e-7},
                            {"amsgrad", false},
                            {"weight_decay", Doubles{}}},
                  .variables = {one(1), one(0), one(0)}});
  EXPECT_NEAR(numbers(result.variables[0])[0], 0.5, 1e-5);
  EXPECT_NEAR(numbers(result.variables[1])[0], 0.2, 1e-12);
  EXPECT_NEAR(numbers(result.variables[2])[0], 0.004, 1e-12);
}

TEST(PlainKernelTest, SixteenBitFormatsAreComputedInFloat) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const Tensor a = make(dtype, {1, 2, 3, 4}, {2, 2});
    EXPECT_EQ(run_one({.op = "MatMul",
                       .inputs = {a, a},
                       .attrs = {{"transpose_a", false}, {"transpose_b", true}}}),
              (Doubles{5, 11, 11, 25}));
    const KernelResult loss = run_kernel(
        {.op = "SparseSoftmaxCrossEntropy", .inputs = {a, Tensor::from({int64_t{0}, int64_t{1}})}});
    EXPECT_NEAR(numbers(loss.outputs[0])[0], 1.3133, 1e-2);
  }
}

}  // namespace
}  // namespace cohort::testing
