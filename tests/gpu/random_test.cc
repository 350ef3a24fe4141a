#include "tests/gpu/device_case.h"

namespace cohort::testing {
namespace {

using GpuRandomTest = GpuTest;

StepState some_step() {
  return {.seed = 17, .step = 5, .micro_step = 2, .rows = 7, .row_offset = 13, .global_rows = 40};
}

Attrs stream(int64_t seed = -1, bool batched = true) {
  return {{"seed", seed}, {"stream", std::string("block/dropout")}, {"batched", batched}};
}

TEST_F(GpuRandomTest, DropoutKeepsTheSameElements) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kF64})
    for (const Shape& shape : {Shape{7, 3}, Shape{1, 1}, Shape{7, 1001}, Shape{0, 4}})
      for (const bool batched : {false, true}) {
        Attrs attrs = stream(3, batched);
        attrs.set("rate", 0.3);
        for (const char* op : {"Dropout", "DropoutGrad"})
          expect_like_cpu({op, {random_numbers(dtype, shape)}, attrs, {}, 1, some_step()}, 0);
      }
}

TEST_F(GpuRandomTest, UniformNumbersHaveTheSameBits) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
    Attrs attrs = stream();
    attrs.set("shape", Shape{7, 333});
    attrs.set("dtype", dtype);
    attrs.set("low", -0.25);
    attrs.set("high", 1.5);
    expect_like_cpu({"RandomUniform", {}, attrs, {}, 1, some_step()}, 0);
  }
}

TEST_F(GpuRandomTest, NormalNumbersAgreeToTheLastBits) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    Attrs attrs = stream(9, false);
    attrs.set("shape", Shape{2001});
    attrs.set("dtype", dtype);
    attrs.set("mean", 1.0);
    attrs.set("stddev", 2.0);
    expect_like_cpu({"RandomNormal", {}, attrs, {}, 1, some_step()},
                    dtype == DType::kF64 ? 1e-13 : 1e-6);
  }
}

}  // namespace
}  // namespace cohort::testing
