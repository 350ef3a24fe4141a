#include "tests/gpu/device_case.h"

namespace cohort::testing {
namespace {

using GpuConvTest = GpuTest;
using GpuPoolTest = GpuTest;
using Ints = std::vector<int64_t>;

struct Conv {
  Shape x, kernel;
  Ints strides = {1, 1};
  Ints pads = {0, 0, 0, 0};
  Ints dilation = {1, 1};
  int64_t groups = 1;
};

Attrs attrs_of(const Conv& c) {
  return {{"strides", c.strides}, {"dilation", c.dilation}, {"pads", c.pads}, {"groups", c.groups}};
}

const std::vector<Conv>& cases() {
  static const std::vector<Conv> list = {
      {{2, 8, 8, 3}, {3, 3, 3, 4}},
      {{3, 9, 7, 4}, {3, 3, 4, 8}, {1, 1}, {1, 1, 1, 1}},
      {{2, 9, 7, 4}, {3, 2, 4, 5}, {2, 1}, {1, 0, 0, 1}},    // uneven padding
      {{2, 10, 10, 4}, {3, 3, 4, 4}, {2, 2}, {0, 1, 0, 1}},  // SAME of a stride of 2
      {{2, 12, 12, 4}, {3, 3, 4, 4}, {1, 1}, {2, 2, 2, 2}, {2, 2}},
      {{2, 8, 8, 8}, {3, 3, 4, 8}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 2},
      {{2, 8, 8, 6}, {3, 3, 1, 6}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 6},
      {{4, 28, 28, 1}, {3, 3, 1, 32}, {1, 1}, {1, 1, 1, 1}},
      {{1, 5, 5, 2}, {5, 5, 2, 3}},
      {{0, 8, 8, 3}, {3, 3, 3, 4}}};
  return list;
}

// The three passes of a case; x' = dy of the backward ones.
void expect_passes(const Conv& c, DType dtype, double tolerance, std::string_view implementation) {
  SCOPED_TRACE(c.x.to_string() + " * " + c.kernel.to_string());
  const Tensor x = random_numbers(dtype, c.x, 1), kernel = random_numbers(dtype, c.kernel, 2);
  const KernelCase forward = {"Conv2D", {x, kernel}, attrs_of(c)};
  const Shape y = run_kernel(forward).outputs[0].shape();
  const Tensor dy = random_numbers(dtype, y, 3);
  Attrs image = attrs_of(c), weights = attrs_of(c);
  image.set("shape", c.x);
  weights.set("shape", c.kernel);
  expect_like_cpu(forward, tolerance, implementation);
  expect_like_cpu({"Conv2DBackwardInput", {dy, kernel}, image}, tolerance, implementation);
  expect_like_cpu({"Conv2DBackwardKernel", {x, dy}, weights}, tolerance, implementation);
}

TEST_F(GpuConvTest, TheFirstImplementationAgrees) {
  for (const Conv& c : cases()) {
    expect_passes(c, DType::kF32, 2e-4, "");
    expect_passes(c, DType::kF64, 1e-11, "");
  }
}

TEST_F(GpuConvTest, TheDirectImplementationAgrees) {
  for (const Conv& c : cases()) expect_passes(c, DType::kF32, 1e-4, "direct");
}

TEST_F(GpuConvTest, ProductsOfUnfoldedImagesAgree) {
  const Conv list[] = {
      {{3, 9, 7, 4}, {3, 2, 4, 5}, {2, 1}, {1, 0, 0, 1}},
      {{5, 14, 13, 3}, {3, 3, 3, 6}, {1, 1}, {1, 1, 1, 1}},  // slices of unequal length
      {{2, 24, 24, 8}, {3, 3, 8, 12}, {1, 1}, {2, 2, 2, 2}, {2, 2}},
      {{4, 12, 12, 6}, {1, 1, 6, 10}},  // the image is the matrix
      {{4, 12, 12, 6}, {1, 1, 6, 10}, {2, 2}},
      {{1, 5, 5, 2}, {5, 5, 2, 3}}};
  for (const Conv& c : list) expect_passes(c, DType::kF32, 2e-4, "product");
}

TEST_F(GpuConvTest, LargeImagesAreUnfoldedInParts) {  // 13 of 40 together, and one is left
  expect_passes({{40, 64, 64, 32}, {3, 3, 32, 4}, {1, 1}, {1, 1, 1, 1}}, DType::kF32, 2e-3,
                "product");
}

TEST_F(GpuConvTest, CudnnTakesTheUsualCase) {
  expect_passes({{4, 14, 14, 32}, {3, 3, 32, 64}, {1, 1}, {1, 1, 1, 1}}, DType::kF32, 1e-3,
                "cudnn");
  expect_passes({{4, 14, 14, 32}, {3, 3, 32, 64}, {1, 1}, {1, 1, 1, 1}}, DType::kF16, 5e-2,
                "cudnn");
}

TEST_F(GpuConvTest, BiasAndActivationAreAdded) {
  for (const char* activation : {"", "relu"}) {
    const Conv c = {{3, 9, 9, 4}, {3, 3, 4, 6}, {1, 1}, {1, 1, 1, 1}};
    Attrs attrs = attrs_of(c);
    attrs.set("activation", std::string(activation));
    expect_like_cpu({"FusedConv2D",
                     {random_numbers(DType::kF32, c.x, 1), random_numbers(DType::kF32, c.kernel, 2),
                      random_numbers(DType::kF32, {6}, 3)},
                     attrs},
                    2e-4);
  }
}

struct Pool {
  Shape x;
  Ints size, strides, pads;
};

const Pool kPools[] = {{{2, 8, 8, 3}, {2, 2}, {2, 2}, {0, 0, 0, 0}},
                       {{2, 9, 7, 5}, {3, 2}, {2, 1}, {1, 1, 0, 1}},
                       {{3, 7, 7, 2}, {3, 3}, {1, 1}, {1, 1, 1, 1}},
                       {{0, 8, 8, 3}, {2, 2}, {2, 2}, {0, 0, 0, 0}}};

Attrs attrs_of(const Pool& p) {
  return {{"pool_size", p.size}, {"strides", p.strides}, {"pads", p.pads}};
}

TEST_F(GpuPoolTest, MaximaTheirPlacesAndGradientsAgree) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kF64})
    for (const Pool& p : kPools) {
      const KernelCase forward = {"MaxPool2D", {random_numbers(dtype, p.x)}, attrs_of(p)};
      expect_like_cpu(forward, 0);
      const KernelResult y = run_kernel(forward);
      Attrs attrs = attrs_of(p);
      attrs.set("shape", p.x);
      const Tensor dy = random_numbers(dtype, y.outputs[0].shape(), 2);
      expect_like_cpu({"MaxPool2DGrad", {dy, y.outputs[1]}, attrs}, 4 * rounding(dtype));
    }
}

TEST_F(GpuPoolTest, AveragesAndTheirGradientsAgree) {
  for (const DType dtype : {DType::kF32, DType::kF64})
    for (const Pool& p : kPools) {
      const KernelCase forward = {"AvgPool2D", {random_numbers(dtype, p.x)}, attrs_of(p)};
      expect_like_cpu(forward, rounding(dtype));
      Attrs attrs = attrs_of(p);
      attrs.set("shape", p.x);
      const Tensor dy = random_numbers(dtype, run_kernel(forward).outputs[0].shape(), 2);
      expect_like_cpu({"AvgPool2DGrad", {dy}, attrs}, 4 * rounding(dtype));
    }
}

}  // namespace
}  // namespace cohort::testing
