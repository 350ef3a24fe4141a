#include "tests/gpu/device_case.h"

namespace cohort::testing {
namespace {

using GpuNormTest = GpuTest;
using GpuSoftmaxTest = GpuTest;

TEST_F(GpuNormTest, BatchNormAndItsGradientAgree) {
  for (const DType dtype : {DType::kF32, DType::kF64})
    for (const Shape& shape : {Shape{32, 10}, Shape{7, 5, 3, 4}, Shape{2000, 3}, Shape{0, 4}}) {
      const Shape channels = shape.slice(shape.rank() - 1);
      const Tensor x = random_numbers(dtype, shape), gamma = random_numbers(dtype, channels, 2);
      const KernelCase forward = {
          "BatchNorm", {x, gamma, random_numbers(dtype, channels, 3)}, {{"epsilon", 1e-3}}};
      expect_like_cpu(forward, 20 * rounding(dtype));
      const KernelResult y = run_kernel(forward);
      expect_like_cpu({"BatchNormGrad",
                       {random_numbers(dtype, shape, 4), x, gamma, y.outputs[1], y.outputs[2]},
                       {{"epsilon", 1e-3}}},
                      100 * rounding(dtype));
    }
}

TEST_F(GpuSoftmaxTest, SoftmaxAgreesForShortAndLongRows) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16})
    for (const int64_t classes : {1, 10, 32, 33, 1000, 5001})
      for (const char* op : {"Softmax", "LogSoftmax"})
        expect_like_cpu({op, {random_numbers(dtype, {9, classes})}}, 4 * rounding(dtype));
}

TEST_F(GpuSoftmaxTest, LargeLogitsDoNotOverflow) {
  const Tensor x = Tensor::from({1000.f, 999.f, -1000.f, 88.f, 89.f, 90.f}, {2, 3});
  expect_like_cpu({"Softmax", {x}}, 1e-6);
  expect_like_cpu({"LogSoftmax", {x}}, 1e-6);
}

TEST_F(GpuSoftmaxTest, CrossEntropiesAgree) {
  for (const DType dtype : {DType::kF32, DType::kF64})
    for (const auto& [rows, classes] : {std::pair{0, 10}, {1, 2}, {32, 10}, {7, 1001}}) {
      const Tensor logits = random_numbers(dtype, {rows, classes});
      const Tensor labels = random_integers({rows}, classes);
      for (const DType label_type : {DType::kI64, DType::kI32})
        expect_like_cpu({"SparseSoftmaxCrossEntropy", {logits, labels.cast(label_type)}},
                        4 * rounding(dtype));
      const Tensor weights =
          run_kernel({"Softmax", {random_numbers(dtype, {rows, classes}, 2)}}).outputs[0];
      expect_like_cpu({"SoftmaxCrossEntropy", {logits, weights}}, 8 * rounding(dtype));
    }
  expect_like_cpu({"SparseSoftmaxCrossEntropy",
                   {random_numbers(DType::kF32, {5, 4}), Tensor::from<uint8_t>({0, 1, 2, 3, 0})}},
                  1e-5);
}

TEST_F(GpuSoftmaxTest, ALabelOutsideNamesItsRow) {
  GpuKernel kernel({"SparseSoftmaxCrossEntropy",
                    {random_numbers(DType::kF32, {3, 10}),
                     Tensor::from({int64_t{1}, int64_t{10}, int64_t{2}})}});
  for (int time = 0; time < 2; ++time) {  // the first error is forgotten once it was thrown
    try {
      kernel.run();
      FAIL() << "want an error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find("label 10 in row 1; want a class of 0 to 9"),
                std::string::npos)
          << error.what();
    }
  }
}

}  // namespace
}  // namespace cohort::testing
