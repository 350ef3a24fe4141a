// Products of 16 bits, by the kernels of f32, against the plain ones, which add in f64: the same
// but for the last rounding, and the same bits for any number of threads.
#include "tests/kernels/compare.h"

namespace cohort::testing {
namespace {

constexpr DType kNarrow[] = {DType::kF16, DType::kBF16};

/// The distance of neighbours at 1.
double spacing(DType dtype) { return dtype == DType::kF16 ? 0x1p-10 : 0x1p-7; }

void expect_wide(const KernelCase& test, DType dtype) {
  expect_like_plain(test, "wide", spacing(dtype));
  const KernelResult chosen = run_kernel(test, ""), wide = run_kernel(test, "wide");
  for (size_t i = 0; i < wide.outputs.size(); ++i)
    EXPECT_TRUE(bitwise_equal(chosen.outputs[i], wide.outputs[i]));
}

TEST(WideTest, ProductsOfMatrices) {
  for (const DType dtype : kNarrow)
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true})
        for (const int64_t m : {1, 37}) {
          const Attrs attrs{{"transpose_a", transpose_a}, {"transpose_b", transpose_b}};
          const int64_t k = 130, n = 19;
          const Tensor a = random_tensor(dtype, transpose_a ? Shape{k, m} : Shape{m, k});
          const Tensor b = random_tensor(dtype, transpose_b ? Shape{n, k} : Shape{k, n}, 2);
          expect_wide({.op = "MatMul", .inputs = {a, b}, .attrs = attrs}, dtype);
          KernelCase fused{
              .op = "FusedMatMul", .inputs = {a, b, random_tensor(dtype, {n}, 3)}, .attrs = attrs};
          fused.attrs.set("activation", std::string("relu"));
          expect_wide(fused, dtype);
        }
}

TEST(WideTest, BatchesOfThem) {
  for (const DType dtype : kNarrow) {
    expect_wide({.op = "MatMul",
                 .inputs = {random_tensor(dtype, {3, 1, 5, 7}), random_tensor(dtype, {4, 7, 6}, 2)},
                 .attrs = {{"transpose_a", false}, {"transpose_b", false}}},
                dtype);
    expect_wide({.op = "MatMul",
                 .inputs = {random_tensor(dtype, {0, 7}), random_tensor(dtype, {7, 6}, 2)},
                 .attrs = {{"transpose_a", false}, {"transpose_b", false}}},
                dtype);
  }
}

TEST(WideTest, ConvolutionsAndTheirGradients) {
  const Attrs attrs{{"strides", std::vector<int64_t>{2, 1}},
                    {"dilation", std::vector<int64_t>{1, 1}},
                    {"pads", std::vector<int64_t>{1, 1, 0, 1}},
                    {"groups", int64_t{1}}};
  for (const DType dtype : kNarrow) {
    const Tensor x = random_tensor(dtype, {3, 9, 8, 5}), k = random_tensor(dtype, {3, 2, 5, 12}, 2);
    const KernelCase forward{.op = "Conv2D", .inputs = {x, k}, .attrs = attrs};
    expect_wide(forward, dtype);
    KernelCase fused{
        .op = "FusedConv2D", .inputs = {x, k, random_tensor(dtype, {12}, 3)}, .attrs = attrs};
    fused.attrs.set("activation", std::string("relu"));
    expect_wide(fused, dtype);
    const Tensor dy = random_tensor(dtype, run_kernel(forward).outputs[0].shape(), 5);
    KernelCase input{.op = "Conv2DBackwardInput", .inputs = {dy, k}, .attrs = attrs};
    input.attrs.set("shape", x.shape());
    expect_wide(input, dtype);
    KernelCase kernel{.op = "Conv2DBackwardKernel", .inputs = {x, dy}, .attrs = attrs};
    kernel.attrs.set("shape", k.shape());
    expect_wide(kernel, dtype);
  }
}

/// Large sums of f32 are rounded once: 16 bits would have lost the ones.
TEST(WideTest, SumsAreRoundedOnce) {
  for (const DType dtype : kNarrow) {
    const Tensor ones = Tensor::full(dtype, {1, 2048}, 1);
    const KernelCase test{.op = "MatMul",
                          .inputs = {ones, Tensor::full(dtype, {2048, 1}, 1)},
                          .attrs = {{"transpose_a", false}, {"transpose_b", false}}};
    EXPECT_EQ(run_kernel(test, "").outputs[0].cast(DType::kF64).data<double>()[0], 2048);
  }
}

}  // namespace
}  // namespace cohort::testing
