#include "cohort/core/ops/segments.h"

#include "tests/gpu/device_case.h"

/// Sums of parameter groups' segments on a GPU: what they are over ranges is
/// what they are over all.
namespace cohort::testing {
namespace {

using GpuSegmentsTest = GpuTest;
using Ints = std::vector<int64_t>;

/// Two segments, [0, 10000) and [10016, 10116), of a group of three lines.
Attrs table(int64_t first) {
  return {{"offsets", Ints{0, 10016}},
          {"elements", Ints{10000, 100}},
          {"group", int64_t{0}},
          {"first", first}};
}

Tensor sum_of(const Tensor& x) {
  return GpuKernel({"ReduceSum", {x.contiguous()}, {{"axis", Ints{0}}, {"keepdims", false}}})
      .run()
      .outputs[0];
}

TEST_F(GpuSegmentsTest, SumsOverRangesHaveTheBitsOfReduceSum) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16}) {
    const Tensor x = random_numbers(dtype, {3 * 4096});
    const KernelResult low =
        GpuKernel({"SegmentSums", {x.slice(0, 0, 8192).contiguous()}, table(0)}).run();
    const KernelResult high =
        GpuKernel({"SegmentSums", {x.slice(0, 8192, 12288).contiguous()}, table(8192)}).run();
    Tensor all(DType::kF64, Shape{4});
    for (int64_t i = 0; i < 4; ++i)
      all.data<double>()[i] =
          low.outputs[0].values<double>()[i] + high.outputs[0].values<double>()[i];
    EXPECT_EQ(low.outputs[0].values<double>()[2], 0);
    EXPECT_EQ(high.outputs[0].values<double>()[1], 0);
    Attrs attrs = table(0);
    attrs.set("dtype", dtype);
    const KernelResult totals = GpuKernel({"SegmentTotals", {all}, attrs}).run();
    expect_close(totals.outputs[0], sum_of(x.slice(0, 0, 10000)), 0);
    expect_close(totals.outputs[1], sum_of(x.slice(0, 10016, 10116)), 0);
  }
}

TEST_F(GpuSegmentsTest, LinesAreSummedInDoublesAndTotalsAreTheirSums) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const Tensor x = random_numbers(dtype, {8192});
    const Tensor numbers = x.cast(DType::kF64);
    Tensor want(DType::kF64, Shape{4});
    for (int64_t i = 0; i < 8192; ++i) want.data<double>()[i / 4096] += numbers.data<double>()[i];
    expect_close(GpuKernel({"SegmentSums", {x}, table(0)}).run().outputs[0], want, 1e-12);
    Attrs attrs = table(0);
    attrs.set("dtype", dtype);
    expect_like_cpu({"SegmentTotals", {want}, attrs}, rounding(dtype));
  }
}

TEST_F(GpuSegmentsTest, AnElementOfARangeGetsItsSegmentsNumber) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16})
    for (const int64_t first : {0, 8192}) {
      Attrs attrs = table(first);
      attrs.set("shape", Shape{first == 0 ? 8192 : 4096});
      expect_like_cpu({"SpreadSegments",
                       {Tensor::full(dtype, {}, 2), Tensor::full(dtype, {}, 3)},
                       std::move(attrs)},
                      0);
    }
}

/// More than one table of them, some without elements in the range.
TEST_F(GpuSegmentsTest, ManySegmentsAreTakenInSeveralTables) {
  Ints offsets, elements;
  std::vector<Tensor> scalars;
  for (int64_t i = 0; i < 300; ++i) {
    offsets.push_back(i * 32);
    elements.push_back(1 + i % 32);
    scalars.push_back(Tensor::scalar(static_cast<float>(i)));
  }
  const Attrs lie = {{"offsets", offsets}, {"elements", elements}};
  Attrs spread = lie, totals = lie;
  spread.set("group", int64_t{0});
  spread.set("first", int64_t{4096});
  spread.set("shape", Shape{4096});
  totals.set("dtype", DType::kF32);
  expect_like_cpu({"SpreadSegments", scalars, spread}, 0);
  expect_like_cpu({"SegmentTotals", {random_numbers(DType::kF64, {300})}, totals}, 0);
}

}  // namespace
}  // namespace cohort::testing
