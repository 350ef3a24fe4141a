// Updates by a body of the rows that a gradient has.
#include <algorithm>
#include <numeric>

#include "cohort/core/ops/slices.h"
#include "cohort/core/ops/update.h"
#include "tests/kernels/compare.h"

namespace cohort::testing {
namespace {

constexpr DType kFloatingRows[] = {DType::kF32, DType::kF64, DType::kF16, DType::kBF16};

/// Adam with weight decay, of a table [rows, width] whose rows `indices` have gradients.
KernelCase adam_rows(DType dtype, int64_t rows, int64_t width,
                     const std::vector<int32_t>& indices) {
  const OpRegistry& registry = BoundKernel::op_registry();
  Graph step(registry);
  const Value rate = step.placeholder("rate", {DType::kF64, {}});
  ops::UpdateBody body("test", dtype, 2, registry);
  body.decay(rate);
  ops::adam_body(body, body.number(rate), {});
  const auto count = static_cast<int64_t>(indices.size());
  KernelCase test{
      .op = "RowsUpdate",
      .inputs = {Tensor::from(indices, Shape{count}), random_tensor(dtype, {count, width}, 9),
                 Tensor::from<double>({0.1, 0.1}, Shape{2}), Tensor::full(DType::kBool, {}, 1)},
      .attrs = {{"body", body.finish()},
                {"update", std::string("test")},
                {"stay", true},
                {"weight_decay", std::vector<double>{0.02}}}};
  for (uint64_t k = 0; k < 3; ++k) {
    const Tensor value = random_tensor(dtype, {rows, width}, k);
    test.variables.push_back(k < 2 ? value
                                   : run_kernel({.op = "Square", .inputs = {value}}).outputs[0]);
  }
  return test;
}

/// The same as an update of all of the table, with gradients of 0 where it has none.
KernelCase densely(const KernelCase& rows) {
  KernelCase dense = rows;
  dense.op = "ElementwiseUpdate";
  const Tensor& table = rows.variables[0];
  const int64_t width = table.shape().num_elements(1, table.shape().rank());
  Tensor gradient = Tensor::full(table.dtype(), table.shape(), 0);
  const auto bytes = static_cast<size_t>(width) * size_of(table.dtype());
  for (int64_t i = 0; i < rows.inputs[0].num_elements(); ++i) {
    const int32_t row = rows.inputs[0].data<int32_t>()[i];
    if (row < 0 || bytes == 0) continue;
    std::memcpy(
        static_cast<std::byte*>(gradient.raw()) + static_cast<size_t>(row) * bytes,
        static_cast<const std::byte*>(rows.inputs[1].raw()) + static_cast<size_t>(i) * bytes,
        bytes);
  }
  dense.inputs = {gradient, rows.inputs[2], rows.inputs[3]};
  return dense;
}

TEST(RowsUpdateTest, AllRowsAreUpdatedAsTheDenseGradientDoes) {
  for (const DType dtype : kFloatingRows)
    for (const int64_t width : {1, 4, 17, 300})
      for (const int threads : {1, 3}) {
        std::vector<int32_t> indices(601);  // with another order, and rows that are not there
        std::iota(indices.begin(), indices.begin() + 600, 0);
        std::reverse(indices.begin() + 100, indices.begin() + 600);
        indices.back() = ops::kNoRow;
        KernelCase test = adam_rows(dtype, 600, width, indices);
        test.threads = threads;
        const KernelResult got = run_kernel(test), want = run_kernel(densely(test), "");
        for (size_t k = 0; k < 3; ++k)
          EXPECT_TRUE(bitwise_equal(got.variables[k], want.variables[k]))
              << fmt::format("{}, width {}, variable {}", dtype, width, k);
      }
}

TEST(RowsUpdateTest, OtherRowsStay) {
  for (const DType dtype : kFloatingRows) {
    const std::vector<int32_t> indices{5, ops::kNoRow, 0, 7, 8};  // 8 is none of the table's
    const KernelCase test = adam_rows(dtype, 8, 3, indices);
    const KernelResult got = run_kernel(test);
    KernelCase inside = test;
    inside.inputs[0].data<int32_t>()[4] = ops::kNoRow;
    const KernelResult dense = run_kernel(densely(inside), "");
    for (size_t k = 0; k < 3; ++k)
      for (int64_t row = 0; row < 8; ++row) {
        const bool given = row == 5 || row == 0 || row == 7;
        const Tensor& from = given ? dense.variables[k] : test.variables[k];
        EXPECT_TRUE(bitwise_equal(got.variables[k].slice(0, row, row + 1).contiguous(),
                                  from.slice(0, row, row + 1).contiguous()))
            << fmt::format("{}, variable {}, row {}", dtype, k, row);
      }
  }
}

TEST(RowsUpdateTest, NothingChangesWithoutRowsOrApply) {
  KernelCase off = adam_rows(DType::kF32, 4, 3, {1, 2});
  off.inputs[3] = Tensor::full(DType::kBool, {}, 0);
  for (const KernelCase& test : {off, adam_rows(DType::kF32, 4, 3, {})}) {
    const KernelResult got = run_kernel(test);
    for (size_t k = 0; k < 3; ++k) EXPECT_TRUE(bitwise_equal(got.variables[k], test.variables[k]));
  }
}

}  // namespace
}  // namespace cohort::testing
