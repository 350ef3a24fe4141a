#include "cohort/core/ops/slices.h"

#include <random>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "tests/support/evaluate.h"
#include "tests/ops/op_test.h"

namespace cohort::testing {
namespace {

using Inputs = std::span<const Value>;
using Doubles = std::vector<double>;

class SlicesTest : public OpTest {};

TEST_F(SlicesTest, PaddingIsRowsThatAreNotThere) {
  const auto padded = evaluate(
      [](Inputs in) {
        const Slices slices = ops::pad_slices({in[0], in[1], Shape{9, 2}}, 4);
        return std::vector<Value>{slices.indices, slices.values};
      },
      {Tensor::from<int64_t>({5, 2}), Tensor::from({1.0, 2.0, 3.0, 4.0}, Shape{2, 2})});
  EXPECT_EQ(padded[0].dtype(), DType::kI32);
  EXPECT_EQ(elements(padded[0]), (Doubles{5, 2, -1, -1}));
  EXPECT_EQ(elements(padded[1]), (Doubles{1, 2, 3, 4, 0, 0, 0, 0}));
}

TEST_F(SlicesTest, NoRowsBecomePaddingAlone) {
  const auto padded = evaluate(
      [](Inputs in) {
        const Slices slices = ops::pad_slices({in[0], in[1], Shape{9, 2}}, 2);
        return std::vector<Value>{slices.indices, slices.values};
      },
      {Tensor(DType::kI32, Shape{0}), Tensor(DType::kF32, Shape{0, 2})});
  EXPECT_EQ(elements(padded[0]), (Doubles{-1, -1}));
  EXPECT_EQ(elements(padded[1]), (Doubles{0, 0, 0, 0}));
}

TEST_F(SlicesTest, MoreRowsThanAFullBatchHasAreRefused) {
  expect_error(Code::kInvalidArgument, {"pad_slices", "got 3 rows", "2 at most"}, [&] {
    ops::pad_slices({input(Shape{3}, DType::kI32), input(Shape{3, 2}), Shape{9, 2}}, 2);
  });
}

TEST_F(SlicesTest, EveryRowOccursOnce) {
  const auto combined = evaluate(
      [](Inputs in) {
        const Slices slices = ops::combine_slices({in[0], in[1], Shape{7, 2}});
        return std::vector<Value>{slices.indices, slices.values};
      },
      {Tensor::from<int32_t>({6, 0, -1, 6, 3, 6}),
       Tensor::from({1., 2., 3., 4., 50., 60., 7., 8., 9., 10., 11., 12.}, Shape{6, 2})});
  EXPECT_EQ(elements(combined[0]), (Doubles{-1, 0, 3, 6, -1, -1}));
  EXPECT_EQ(elements(combined[1]), (Doubles{0, 0, 3, 4, 9, 10, 19, 22, 0, 0, 0, 0}));
}

/// The binary tree of logical replicas over [begin, end).
Value tree_sum(const std::vector<Value>& parts, size_t begin, size_t end) {
  if (end - begin == 1) return parts[begin];
  const size_t left = std::bit_floor(end - begin - 1);
  return tree_sum(parts, begin, begin + left) + tree_sum(parts, begin + left, end);
}

/// For each dtype and number of replicas: the slices of all replicas, combined, and the sum of
/// their dense gradients in tree order, are the same bits.
TEST_F(SlicesTest, PartsAddInTheOrderOfTheReplicas) {
  constexpr int64_t kRows = 13, kTable = 11, kWidth = 3;
  std::mt19937 random(5);
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16}) {
    for (const int64_t replicas : {1, 2, 3, 4, 5, 7, 12}) {
      SCOPED_TRACE(std::to_string(replicas) + " replicas");
      Tensor indices(DType::kI32, Shape{replicas * kRows});
      for (int32_t& index :
           std::span(indices.data<int32_t>(), static_cast<size_t>(indices.num_elements())))
        index = static_cast<int32_t>(random() % (kTable + 1)) - 1;
      const Tensor values = random_tensor(Shape{replicas * kRows, kWidth}, 3, dtype);
      std::vector<Tensor> inputs{indices, values};
      for (int64_t r = 0; r < replicas; ++r) {
        Tensor part_indices(DType::kI32, Shape{kRows}), part(dtype, Shape{kRows, kWidth});
        std::memcpy(part_indices.raw(), indices.data<int32_t>() + r * kRows,
                    part_indices.num_bytes());
        std::memcpy(
            part.raw(),
            static_cast<const char*>(values.raw()) + r * static_cast<int64_t>(part.num_bytes()),
            part.num_bytes());
        inputs.push_back(part_indices);
        inputs.push_back(part);
      }
      const auto results = evaluate(
          [&](Inputs in) {
            const Shape table{kTable, kWidth};
            const Slices all = ops::combine_slices({in[0], in[1], table}, kRows);
            std::vector<Value> parts;
            for (size_t i = 2; i < in.size(); i += 2)
              parts.push_back(ops::slices_to_dense({in[i], in[i + 1], table}));
            return std::vector<Value>{ops::slices_to_dense(all), tree_sum(parts, 0, parts.size())};
          },
          inputs);
      EXPECT_TRUE(bitwise_equal(results[0], results[1]));
    }
  }
}

TEST_F(SlicesTest, ManyRowsOfALargeTableAreSorted) {
  constexpr int64_t kRows = 5000, kTable = 3000000;
  Tensor indices(DType::kI32, Shape{kRows}), values(DType::kF32, Shape{kRows, 1});
  for (int64_t i = 0; i < kRows; ++i) {
    indices.data<int32_t>()[i] = static_cast<int32_t>(i * 7919 % 2500 * 1201);
    values.data<float>()[i] = static_cast<float>(i);
  }
  const auto results = evaluate(
      [](Inputs in) {
        const Slices all = ops::combine_slices({in[0], in[1], Shape{kTable, 1}});
        return std::vector<Value>{all.indices, all.values};
      },
      {indices, values});
  int64_t rows = 0, last = -1;
  double total = 0;
  for (int64_t i = 0; i < kRows; ++i) {
    const int64_t index = results[0].values<int32_t>()[static_cast<size_t>(i)];
    total += results[1].values<float>()[static_cast<size_t>(i)];
    if (index < 0) continue;
    EXPECT_GT(index, last);
    last = index;
    ++rows;
  }
  EXPECT_EQ(rows, 2500);
  EXPECT_EQ(total, kRows * (kRows - 1) / 2);
}

}  // namespace
}  // namespace cohort::testing
