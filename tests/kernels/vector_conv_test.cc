// The vectorised convolutions against the plain ones, with the same bits for any number of threads.
#include "tests/kernels/compare.h"

namespace cohort::testing {
namespace {

using Ints = std::vector<int64_t>;

struct VectorConvCase {
  int64_t n, h, w, c, kh, kw, f;
  Ints strides = {1, 1};
  Ints dilation = {1, 1};
  Ints pads = {0, 0, 0, 0};
  int64_t groups = 1;
};

const VectorConvCase kVectorCases[] = {
    {5, 28, 28, 1, 3, 3, 32, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {3, 9, 7, 32, 3, 3, 64, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {70, 6, 6, 2, 3, 2, 7},
    {1, 11, 11, 6, 3, 3, 10, {2, 2}, {1, 1}, {0, 1, 0, 1}},
    {2, 11, 11, 8, 3, 3, 8, {1, 1}, {2, 2}, {2, 2, 2, 2}},
    {9, 7, 7, 8, 3, 3, 12, {1, 1}, {1, 1}, {1, 1, 1, 1}, 4},
    {5, 6, 6, 16, 1, 1, 10},
    {0, 6, 6, 3, 3, 3, 4},
};

Attrs vector_attrs_of(const VectorConvCase& c) {
  return {{"strides", c.strides}, {"dilation", c.dilation}, {"pads", c.pads}, {"groups", c.groups}};
}

KernelCase forward(const VectorConvCase& c, DType dtype) {
  return {.op = "Conv2D",
          .inputs = {random_tensor(dtype, {c.n, c.h, c.w, c.c}),
                     random_tensor(dtype, {c.kh, c.kw, c.c / c.groups, c.f}, 2)},
          .attrs = vector_attrs_of(c)};
}

void expect_vector_conv(const KernelCase& test, DType dtype) {
  SCOPED_TRACE(test.op);
  expect_like_plain(test, "simd", dtype == DType::kF32 ? 1e-4 : 1e-12);
}

const DType kConvFloats[] = {DType::kF32, DType::kF64};

TEST(VectorConvTest, ForwardEqualsPlain) {
  for (const DType dtype : kConvFloats)
    for (const VectorConvCase& c : kVectorCases) expect_vector_conv(forward(c, dtype), dtype);
}

TEST(VectorConvTest, ForwardWithBiasAndReluEqualsPlain) {
  for (const DType dtype : kConvFloats)
    for (const VectorConvCase& c : kVectorCases)
      for (const char* activation : {"", "relu"}) {
        KernelCase test = forward(c, dtype);
        test.op = "FusedConv2D";
        test.inputs.push_back(random_tensor(dtype, {c.f}, 3));
        test.attrs.set("activation", std::string(activation));
        expect_vector_conv(test, dtype);
      }
}

TEST(VectorConvTest, BackwardEqualsPlain) {
  for (const DType dtype : kConvFloats)
    for (const VectorConvCase& c : kVectorCases) {
      const KernelCase y = forward(c, dtype);
      const Tensor dy = random_tensor(dtype, run_kernel(y, "plain").outputs[0].shape(), 5);
      KernelCase input{
          .op = "Conv2DBackwardInput", .inputs = {dy, y.inputs[1]}, .attrs = vector_attrs_of(c)};
      input.attrs.set("shape", y.inputs[0].shape());
      expect_vector_conv(input, dtype);
      KernelCase kernel{
          .op = "Conv2DBackwardKernel", .inputs = {y.inputs[0], dy}, .attrs = vector_attrs_of(c)};
      kernel.attrs.set("shape", y.inputs[1].shape());
      expect_vector_conv(kernel, dtype);
    }
}

}  // namespace
}  // namespace cohort::testing
