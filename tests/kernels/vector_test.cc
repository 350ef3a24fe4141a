// Every vectorised kernel against the plain one.
#include <gmock/gmock.h>

#include <cmath>

#include "tests/kernels/compare.h"

namespace cohort::testing {
namespace {

using Ints = std::vector<int64_t>;

double tolerance(DType dtype) { return dtype == DType::kF32 ? 2e-5 : 1e-12; }

const DType kFloats[] = {DType::kF32, DType::kF64};
const Shape kOddShapes[] = {{}, {0}, {1}, {7}, {33}, {3, 5}, {0, 5}, {129, 1027}};

void expect_simd(KernelCase test, DType dtype) {
  expect_like_plain(test, "simd", tolerance(dtype));
}

TEST(VectorKernelTest, UnaryOpsEqualPlain) {
  for (const char* op : {"Relu", "Sigmoid", "Tanh", "Exp", "Expm1", "Softplus", "Erf", "Neg", "Abs",
                         "Square", "Reciprocal"})
    for (const DType dtype : kFloats)
      for (const Shape& shape : kOddShapes)
        expect_simd({.op = op, .inputs = {random_tensor(dtype, shape)}}, dtype);
}

TEST(VectorKernelTest, OpsOfPositiveNumbersEqualPlain) {
  for (const char* op : {"Log", "Sqrt", "Rsqrt"})
    for (const DType dtype : kFloats)
      for (const Shape& shape : kOddShapes) {
        const Tensor x =
            run_kernel({.op = "Exp", .inputs = {random_tensor(dtype, shape)}}).outputs[0];
        expect_simd({.op = op, .inputs = {x}}, dtype);
      }
}

TEST(VectorKernelTest, GradientsOfActivationsEqualPlain) {
  for (const char* op : {"ReluGrad", "SigmoidGrad", "TanhGrad"})
    for (const DType dtype : kFloats)
      for (const Shape& shape : kOddShapes)
        expect_simd(
            {.op = op, .inputs = {random_tensor(dtype, shape), random_tensor(dtype, shape, 2)}},
            dtype);
}

const std::pair<Shape, Shape> kBroadcastPairs[] = {
    {{3, 5}, {3, 5}},    {{3, 5}, {5}},          {{3, 1}, {1, 5}},
    {{}, {4, 1}},        {{4, 1}, {}},           {{2, 1, 7}, {3, 1}},
    {{1}, {1}},          {{0, 5}, {5}},          {{70000}, {70000}},
    {{257, 300}, {300}}, {{257, 300}, {257, 1}}, {{2, 8}, {4, 1, 8}}};

TEST(VectorKernelTest, BinaryOpsBroadcastAsPlain) {
  for (const char* op : {"Add", "Sub", "Mul", "Div", "Maximum", "Minimum", "SquaredDifference"})
    for (const DType dtype : kFloats)
      for (const auto& [a, b] : kBroadcastPairs)
        expect_simd({.op = op, .inputs = {random_tensor(dtype, a), random_tensor(dtype, b, 2)}},
                    dtype);
}

// Rounded to halves, so that some are equal; some are NaN.
Tensor coarse_tensor(DType dtype, const Shape& shape, uint64_t seed = 1) {
  Tensor tensor = random_tensor(DType::kF64, shape, seed);
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    double& value = tensor.data<double>()[i];
    value = i % 11 == static_cast<int64_t>(seed) ? std::nan("") : std::round(2 * value) / 2;
  }
  return tensor.cast(dtype);
}

TEST(VectorKernelTest, ComparisonsEqualPlain) {
  for (const char* op : {"Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"})
    for (const DType dtype : kFloats)
      for (const auto& [a, b] : kBroadcastPairs)
        expect_like_plain(
            {.op = op, .inputs = {coarse_tensor(dtype, a), coarse_tensor(dtype, b, 2)}}, "simd", 0);
}

TEST(VectorKernelTest, ChoicesEqualPlain) {
  const Shape shapes[] = {{6, 35}, {35}, {6, 1}, {}};
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kI32, DType::kI64})
    for (const Shape& condition : shapes)
      for (const Shape& a : shapes)
        for (const Shape& b : shapes)
          expect_like_plain({.op = "Select",
                             .inputs = {random_tensor(DType::kBool, condition, 3),
                                        random_tensor(dtype, a), random_tensor(dtype, b, 2)}},
                            "simd", 0);
}

TEST(VectorKernelTest, SumsOfSeveralEqualPlain) {
  for (const DType dtype : kFloats)
    for (const int count : {1, 2, 5}) {
      std::vector<Tensor> inputs;
      for (int i = 0; i < count; ++i)
        inputs.push_back(random_tensor(dtype, {300, 301}, static_cast<uint64_t>(i)));
      expect_simd({.op = "AddN", .inputs = inputs}, dtype);
    }
}

TEST(VectorKernelTest, TransposesEqualPlain) {
  for (const DType dtype : kFloats) {
    expect_simd({.op = "Transpose",
                 .inputs = {random_tensor(dtype, {300, 431})},
                 .attrs = {{"permutation", Ints{1, 0}}}},
                dtype);
    expect_simd({.op = "Transpose",
                 .inputs = {random_tensor(dtype, {5, 3, 7})},
                 .attrs = {{"permutation", Ints{0, 2, 1}}}},
                dtype);
  }
}

TEST(VectorKernelTest, MatrixProductsEqualPlain) {
  const struct {
    int64_t m, n, k;
  } sizes[] = {{1, 1, 1}, {3, 5, 7}, {32, 128, 784}, {17, 10, 64},  {0, 4, 3},
               {4, 0, 3}, {4, 3, 0}, {129, 65, 33},  {784, 128, 32}};
  for (const DType dtype : kFloats)
    for (const auto& s : sizes)
      for (const bool ta : {false, true})
        for (const bool tb : {false, true}) {
          const Tensor a = random_tensor(dtype, ta ? Shape{s.k, s.m} : Shape{s.m, s.k});
          const Tensor b = random_tensor(dtype, tb ? Shape{s.n, s.k} : Shape{s.k, s.n}, 2);
          const Attrs attrs{{"transpose_a", ta}, {"transpose_b", tb}};
          expect_like_plain({.op = "MatMul", .inputs = {a, b}, .attrs = attrs}, "simd",
                            dtype == DType::kF32 ? 1e-4 : 1e-12);
        }
}

TEST(VectorKernelTest, FusedProductsEqualPlain) {
  for (const DType dtype : kFloats)
    for (const char* activation : {"", "relu"})
      for (const int64_t n : {10, 128, 300})
        expect_simd({.op = "FusedMatMul",
                     .inputs = {random_tensor(dtype, {67, 61}), random_tensor(dtype, {61, n}, 2),
                                random_tensor(dtype, {n}, 3)},
                     .attrs = {{"transpose_a", false},
                               {"transpose_b", false},
                               {"activation", std::string(activation)}}},
                    dtype);
}

TEST(VectorKernelTest, BatchedProductsBroadcastAsPlain) {
  for (const DType dtype : kFloats)
    expect_simd(
        {.op = "MatMul",
         .inputs = {random_tensor(dtype, {2, 1, 40, 50}), random_tensor(dtype, {3, 50, 60}, 2)},
         .attrs = {{"transpose_a", false}, {"transpose_b", false}}},
        dtype);
}

TEST(VectorKernelTest, ReductionsEqualPlain) {
  const struct {
    Shape shape;
    Ints axis;
  } cases[] = {{{7}, {}},        {{5, 9}, {0}},       {{5, 9}, {1}},      {{4, 6, 5}, {1}},
               {{4, 6, 5}, {0}}, {{9000, 33}, {0}},   {{200000}, {}},     {{3, 5000, 8}, {1}},
               {{1, 9}, {0}},    {{4, 6, 5}, {0, 1}}, {{4, 6, 5}, {1, 2}}};
  for (const char* op : {"ReduceSum", "ReduceMean"})
    for (const DType dtype : kFloats)
      for (const auto& c : cases)
        expect_like_plain({.op = op,
                           .inputs = {random_tensor(dtype, c.shape)},
                           .attrs = {{"axis", c.axis}, {"keepdims", false}}},
                          "simd", dtype == DType::kF32 ? 1e-4 : 1e-11);
  for (const char* op : {"ReduceMax", "ReduceMin"})
    for (const DType dtype : kFloats)
      for (const int64_t columns : {1, 5, 300})
        expect_simd({.op = op,
                     .inputs = {random_tensor(dtype, {70, columns})},
                     .attrs = {{"axis", Ints{1}}, {"keepdims", true}}},
                    dtype);
}

TEST(VectorKernelTest, ArgMaxEqualsPlain) {
  for (const DType dtype : kFloats)
    for (const int64_t columns : {1, 10, 77})
      expect_simd({.op = "ArgMax",
                   .inputs = {random_tensor(dtype, {33, columns})},
                   .attrs = {{"axis", int64_t{1}}}},
                  dtype);
}

TEST(VectorKernelTest, SoftmaxAndCrossEntropiesEqualPlain) {
  for (const DType dtype : kFloats)
    for (const int64_t rows : {0, 1, 33, 5000})
      for (const int64_t classes : {1, 10, 37}) {
        const Tensor logits = random_tensor(dtype, {rows, classes});
        expect_simd({.op = "Softmax", .inputs = {logits}}, dtype);
        expect_simd({.op = "LogSoftmax", .inputs = {logits}}, dtype);
        const Tensor labels = random_labels(rows, classes);
        for (const DType label_type : {DType::kI64, DType::kI32, DType::kU8})
          expect_simd(
              {.op = "SparseSoftmaxCrossEntropy", .inputs = {logits, labels.cast(label_type)}},
              dtype);
        const Tensor soft =
            run_kernel({.op = "Softmax", .inputs = {random_tensor(dtype, {rows, classes}, 3)}})
                .outputs[0];
        expect_simd({.op = "SoftmaxCrossEntropy", .inputs = {logits, soft}}, dtype);
      }
}

TEST(VectorKernelTest, LabelOutsideIsAnErrorThatNamesIt) {
  Tensor labels = random_labels(5, 3);
  labels.data<int64_t>()[4] = 3;
  for (const char* name : {"simd", "plain"}) try {
      run_kernel({.op = "SparseSoftmaxCrossEntropy",
                  .inputs = {random_tensor(DType::kF32, {5, 3}), labels}},
                 name);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kInvalidArgument);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("label 3 in row 4; want a class of 0 to 2"));
    }
}

TEST(VectorKernelTest, DropoutEqualsPlainBitForBit) {
  StepState step{.seed = 7, .step = 3, .row_offset = 11};
  for (const char* op : {"Dropout", "DropoutGrad"})
    for (const DType dtype : kFloats)
      for (const double rate : {0.0, 0.2, 1.0})
        for (const Shape& shape : {Shape{5, 3}, Shape{0, 3}, Shape{129, 1027}})
          expect_like_plain({.op = op,
                             .inputs = {random_tensor(dtype, shape)},
                             .attrs = {{"rate", rate},
                                       {"seed", int64_t{-1}},
                                       {"stream", std::string("a/dropout")},
                                       {"batched", true}},
                             .step = step},
                            "simd", 0);
}

TEST(VectorKernelTest, NormalNumbersEqualPlain) {
  for (const DType dtype : kFloats)
    expect_simd({.op = "RandomNormal",
                 .attrs = {{"shape", Shape{33, 1001}},
                           {"dtype", dtype},
                           {"mean", 1.0},
                           {"stddev", 2.0},
                           {"seed", int64_t{5}},
                           {"stream", std::string("n")},
                           {"batched", false}}},
                dtype);
}

TEST(VectorKernelTest, PoolingEqualsPlain) {
  const struct {
    Shape image;
    Ints pool, strides, pads;
  } cases[] = {{{2, 28, 28, 32}, {2, 2}, {2, 2}, {0, 0, 0, 0}},
               {{0, 8, 8, 3}, {2, 2}, {2, 2}, {0, 0, 0, 0}},
               {{3, 7, 9, 5}, {3, 2}, {2, 1}, {1, 1, 0, 1}},
               {{64, 14, 14, 64}, {2, 2}, {2, 2}, {0, 0, 0, 0}},
               {{1, 5, 5, 17}, {3, 3}, {1, 1}, {1, 1, 1, 1}}};
  for (const DType dtype : kFloats)
    for (const auto& c : cases) {
      Attrs attrs{{"pool_size", c.pool}, {"strides", c.strides}, {"pads", c.pads}};
      const Tensor x = random_tensor(dtype, c.image);
      const KernelResult max = run_kernel({.op = "MaxPool2D", .inputs = {x}, .attrs = attrs});
      expect_simd({.op = "MaxPool2D", .inputs = {x}, .attrs = attrs}, dtype);
      expect_simd({.op = "AvgPool2D", .inputs = {x}, .attrs = attrs}, dtype);
      const Tensor dy = random_tensor(dtype, max.outputs[0].shape(), 2);
      attrs.set("shape", c.image);
      expect_simd({.op = "MaxPool2DGrad", .inputs = {dy, max.outputs[1]}, .attrs = attrs}, dtype);
      expect_simd({.op = "AvgPool2DGrad", .inputs = {dy}, .attrs = attrs}, dtype);
    }
}

TEST(VectorKernelTest, BatchNormEqualsPlain) {
  for (const DType dtype : kFloats)
    for (const int64_t rows : {0, 1, 7, 1000})
      for (const int64_t channels : {1, 5, 64}) {
        const Attrs attrs{{"epsilon", 1e-3}};
        const Tensor x = random_tensor(dtype, {rows, channels});
        const Tensor gamma = random_tensor(dtype, {channels}, 2);
        const KernelCase forward{.op = "BatchNorm",
                                 .inputs = {x, gamma, random_tensor(dtype, {channels}, 3)},
                                 .attrs = attrs};
        expect_like_plain(forward, "simd", dtype == DType::kF32 ? 1e-4 : 1e-10);
        const KernelResult y = run_kernel(forward);
        expect_like_plain({.op = "BatchNormGrad",
                           .inputs = {random_tensor(dtype, {rows, channels}, 4), x, gamma,
                                      y.outputs[1], y.outputs[2]},
                           .attrs = attrs},
                          "simd", dtype == DType::kF32 ? 2e-4 : 1e-9);
      }
}

TEST(VectorKernelTest, ChecksOfFinitenessEqualPlain) {
  for (const DType dtype : kFloats)
    for (const double value : {1.0, static_cast<double>(INFINITY), static_cast<double>(NAN)}) {
      Tensor x = random_tensor(dtype, {1001});
      if (dtype == DType::kF32)
        x.data<float>()[1000] = static_cast<float>(value);
      else
        x.data<double>()[1000] = value;
      expect_simd({.op = "CheckFinite", .inputs = {random_tensor(dtype, {3}), x}}, dtype);
    }
}

TEST(VectorKernelTest, FmaBroadcastsAsPlain) {
  const Shape shapes[][3] = {{{3, 5}, {3, 5}, {3, 5}},
                             {{257, 300}, {300}, {}},
                             {{}, {4, 7}, {4, 1}},
                             {{70001}, {}, {70001}}};
  for (const DType dtype : kFloats)
    for (const auto& [a, b, c] : shapes)
      expect_simd({.op = "Fma",
                   .inputs = {random_tensor(dtype, a), random_tensor(dtype, b, 2),
                              random_tensor(dtype, c, 3)}},
                  dtype);
}

KernelCase update_case(const char* op, DType dtype, int slots, Attrs attrs) {
  KernelCase test{.op = op, .attrs = std::move(attrs)};
  const Shape shapes[] = {{37, 5}, {5}, {0}, {300, 301}};
  for (const Shape& shape : shapes) test.inputs.push_back(random_tensor(dtype, shape, 9));
  test.inputs.push_back(Tensor::scalar(0.1f));
  test.inputs.push_back(Tensor::scalar(int64_t{3}));
  test.inputs.push_back(Tensor::full(DType::kBool, {}, 1));
  for (int slot = 0; slot <= slots; ++slot)
    for (const Shape& shape : shapes) {
      Tensor value = random_tensor(dtype, shape, static_cast<uint64_t>(slot));
      // Second moments are not negative.
      if (slot >= 2) value = run_kernel({.op = "Square", .inputs = {value}}).outputs[0];
      test.variables.push_back(value);
    }
  return test;
}

TEST(VectorKernelTest, UpdatesEqualPlain) {
  const std::vector<double> decay{0.01, 0, 0.01, 0.02};
  for (const DType dtype : kFloats) {
    for (const bool amsgrad : {false, true})
      expect_simd(update_case("AdamUpdate", dtype, amsgrad ? 3 : 2,
                              {{"beta_1", 0.9},
                               {"beta_2", 0.999},
                               {"epsilon", 1e-7},
                               {"amsgrad", amsgrad},
                               {"weight_decay", decay}}),
                  dtype);
    for (const double momentum : {0.0, 0.9})
      for (const bool nesterov : {false, true})
        expect_simd(
            update_case("SgdUpdate", dtype, momentum != 0 ? 1 : 0,
                        {{"momentum", momentum}, {"nesterov", nesterov}, {"weight_decay", decay}}),
            dtype);
  }
}

TEST(VectorKernelTest, UpdatesThatDoNotApplyLeaveEveryBit) {
  KernelCase test = update_case(
      "SgdUpdate", DType::kF32, 1,
      {{"momentum", 0.9}, {"nesterov", false}, {"weight_decay", std::vector<double>{}}});
  test.inputs.back() = Tensor::full(DType::kBool, {}, 0);
  for (const char* name : {"simd", "plain"}) {
    const KernelResult result = run_kernel(test, name);
    for (size_t i = 0; i < result.variables.size(); ++i)
      EXPECT_TRUE(bitwise_equal(result.variables[i], test.variables[i]));
  }
}

}  // namespace
}  // namespace cohort::testing
