#include <gtest/gtest.h>

#include "tests/kernels/compare.h"
#include "tests/kernels/kernel_harness.h"
#include "tests/support/expect_error.h"

/// Two segments, [0, 10000) and [10016, 10116), of a group of three lines.
namespace cohort::testing {
namespace {

using Ints = std::vector<int64_t>;

Attrs table(int64_t first) {
  return {{"offsets", Ints{0, 10016}},
          {"elements", Ints{10000, 100}},
          {"group", int64_t{0}},
          {"first", first}};
}

std::vector<Tensor> outputs_of(const KernelCase& test) {
  std::vector<Tensor> outputs;
  on_own_thread([&] {
    BoundKernel kernel(test, "");
    kernel.run();
    for (const Tensor& output : kernel.outputs()) outputs.push_back(output.clone());
    return 0;
  });
  return outputs;
}

Tensor sum_of(const Tensor& x) {
  return outputs_of({.op = "ReduceSum",
                     .inputs = {x.contiguous()},
                     .attrs = {{"axis", Ints{0}}, {"keepdims", false}}})[0];
}

TEST(SegmentsTest, SumsOverRangesHaveTheBitsOfReduceSum) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const Tensor x = random_tensor(dtype, {3 * 4096});
    const Tensor low = outputs_of(
        {.op = "SegmentSums", .inputs = {x.slice(0, 0, 8192).contiguous()}, .attrs = table(0)})[0];
    const Tensor high = outputs_of({.op = "SegmentSums",
                                    .inputs = {x.slice(0, 8192, 12288).contiguous()},
                                    .attrs = table(8192)})[0];
    ASSERT_EQ(low.shape(), (Shape{4}));
    EXPECT_EQ(low.values<double>()[2], 0);
    EXPECT_EQ(high.values<double>()[1], 0);
    const Tensor all = outputs_of({.op = "Add", .inputs = {low, high}})[0];
    Attrs attrs = table(0);
    attrs.set("dtype", dtype);
    const auto totals = outputs_of({.op = "SegmentTotals", .inputs = {all}, .attrs = attrs});
    EXPECT_TRUE(bitwise_equal(totals[0], sum_of(x.slice(0, 0, 10000))));
    EXPECT_TRUE(bitwise_equal(totals[1], sum_of(x.slice(0, 10016, 10116))));
  }
}

TEST(SegmentsTest, AnElementOfARangeGetsItsSegmentsNumber) {
  Attrs attrs = table(8192);
  attrs.set("shape", Shape{4096});
  const Tensor y = outputs_of({.op = "SpreadSegments",
                               .inputs = {Tensor::scalar(2.0f), Tensor::scalar(3.0f)},
                               .attrs = attrs})[0];
  const auto at = [&](int64_t element) { return y.values<float>()[element - 8192]; };
  EXPECT_EQ(at(8192), 2);
  EXPECT_EQ(at(9999), 2);
  EXPECT_EQ(at(10000), 0);
  EXPECT_EQ(at(10016), 3);
  EXPECT_EQ(at(10115), 3);
  EXPECT_EQ(at(10116), 0);
}

TEST(SegmentsTest, WantAScalarForEachSegmentAndASumForEachLine) {
  Attrs attrs = table(0);
  attrs.set("shape", Shape{4096});
  expect_invalid({"1 values", "2 scalars"}, [&] {
    BoundKernel({.op = "SpreadSegments", .inputs = {Tensor::scalar(2.0f)}, .attrs = attrs}, "");
  });
  attrs.set("dtype", DType::kF32);
  expect_invalid({"[3]", "[4]"}, [&] {
    BoundKernel({.op = "SegmentTotals", .inputs = {Tensor(DType::kF64, Shape{3})}, .attrs = attrs},
                "");
  });
}

}  // namespace
}  // namespace cohort::testing
